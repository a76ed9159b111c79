//! Writes what a certificate consists of (X.690, RFC 5280): each thing is its kind, its length and what
//! is in it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub(super) const INTEGER: u8 = 0x02;
pub(super) const BIT_STRING: u8 = 0x03;
pub(super) const OCTET_STRING: u8 = 0x04;
pub(super) const OBJECT: u8 = 0x06;
pub(super) const UTF8_STRING: u8 = 0x0c;
pub(super) const SEQUENCE: u8 = 0x30;
pub(super) const SET: u8 = 0x31;
/// Of a sequence that has its own kinds, the first.
pub(super) const FIRST: u8 = 0x80;
/// That it has things in it.
pub(super) const MADE: u8 = 0x20;

/// `TRUE`.
pub(super) const YES: &[u8] = &[0x01, 1, 0xff];

/// One thing of this kind.
pub(super) fn thing(kind: u8, parts: &[&[u8]]) -> Vec<u8> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let mut bytes = vec![kind];
    match u8::try_from(length) {
        Ok(short) if short < 0x80 => bytes.push(short),
        _ => {
            let long = length.to_be_bytes();
            let long = long.iter().position(|byte| *byte != 0).and_then(|from| long.get(from..));
            let long = long.unwrap_or_default();
            bytes.push(0x80 | u8::try_from(long.len()).unwrap_or(0x7f));
            bytes.extend_from_slice(long);
        }
    }
    parts.iter().for_each(|part| bytes.extend_from_slice(part));
    bytes
}

/// All bits of these bytes.
pub(super) fn bits(bytes: &[u8]) -> Vec<u8> {
    thing(BIT_STRING, &[&[0], bytes])
}

/// An extension, which whoever does not know it may pass over, or must not.
pub(super) fn extension(object: &[u8], critical: bool, value: &[u8]) -> Vec<u8> {
    let critical = if critical { YES } else { &[] };
    thing(SEQUENCE, &[&thing(OBJECT, &[object]), critical, &thing(OCTET_STRING, &[value])])
}

/// A name that has one part, `CN`.
pub(super) fn common_name(text: &str) -> Vec<u8> {
    const COMMON_NAME: &[u8] = &[0x55, 4, 3];
    let pair = [thing(OBJECT, &[COMMON_NAME]), thing(UTF8_STRING, &[text.as_bytes()])].concat();
    thing(SEQUENCE, &[&thing(SET, &[&thing(SEQUENCE, &[&pair])])])
}

/// A moment, to the second: with two digits of the year for as long as that has one meaning.
pub(super) fn time(at: SystemTime) -> Vec<u8> {
    const UTC_TIME: u8 = 0x17;
    const GENERALIZED_TIME: u8 = 0x18;
    let seconds = at.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs();
    let (year, month, day) = date(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    let rest = format!("{month:02}{day:02}{hour:02}{minute:02}{second:02}Z");
    if (1950..2050).contains(&year) {
        thing(UTC_TIME, &[format!("{:02}{rest}", year % 100).as_bytes()])
    } else {
        thing(GENERALIZED_TIME, &[format!("{year:04}{rest}").as_bytes()])
    }
}

/// Year, month and day of so many days after the first of January 1970. Years are counted from March, so
/// that the odd day is the last one.
const fn date(days: u64) -> (u64, u64, u64) {
    const ERA: u64 = 146_097;
    let days = days + 719_468;
    let of_era = days % ERA;
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / (ERA - 1)) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = days / ERA * 400 + year;
    (if month <= 2 { year + 1 } else { year }, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_take_as_many_bytes_as_they_need() {
        assert_eq!(thing(OCTET_STRING, &[b"ab", b"c"]), b"\x04\x03abc");
        assert_eq!(thing(OCTET_STRING, &[&[7; 127]])[..2], [4, 127]);
        assert_eq!(thing(OCTET_STRING, &[&[7; 128]])[..3], [4, 0x81, 128]);
        assert_eq!(thing(OCTET_STRING, &[&[7; 256]])[..4], [4, 0x82, 1, 0]);
    }

    #[test]
    fn moments_are_written_as_the_calendar_has_them() {
        for (seconds, text) in [
            (0, "\x17\r700101000000Z"),
            (951_782_399, "\x17\r000228235959Z"),
            (951_782_400, "\x17\r000229000000Z"),
            (1_709_251_200, "\x17\r240301000000Z"),
            (1_798_761_599, "\x17\r261231235959Z"),
            (2_524_607_999, "\x17\r491231235959Z"),
            (2_524_608_000, "\x18\x0f20500101000000Z"),
            (4_107_542_400, "\x18\x0f21000301000000Z"),
        ] {
            let at = UNIX_EPOCH + Duration::from_secs(seconds);
            assert_eq!(String::from_utf8(time(at)).unwrap(), text);
        }
    }
}
