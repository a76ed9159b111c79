//! Points in time, as people and programs read them: RFC 3339, in UTC, with milliseconds.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

const DAY: u64 = 86_400;

/// A point in time, in milliseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stamp(pub u64);

impl Stamp {
    /// Now, as the machine's clock has it.
    #[must_use]
    pub fn now() -> Self {
        Self::from(SystemTime::now())
    }

    /// So long before; never before 1970.
    #[must_use]
    pub fn before(self, by: Duration) -> Self {
        Self(self.0.saturating_sub(u64::try_from(by.as_millis()).unwrap_or(u64::MAX)))
    }

    /// `2026-11-25`.
    #[must_use]
    pub fn day(self) -> String {
        let (year, month, day) = civil(self.0 / 1000 / DAY);
        format!("{year:04}-{month:02}-{day:02}")
    }

    /// `2026-11-25T15:01:02.123Z`.
    #[must_use]
    pub fn text(self) -> String {
        let second = self.0 / 1000 % DAY;
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        format!("{}T{hour:02}:{minute:02}:{second:02}.{:03}Z", self.day(), self.0 % 1000)
    }

    /// `20261125T150102123`, which sorts as the points in time do, for the names of files.
    #[must_use]
    pub fn name(self) -> String {
        self.text().chars().filter(|one| one.is_ascii_digit() || *one == 'T').collect()
    }

    /// From `2026-11-25`, `2026-11-25T15:01`, with seconds, with a fraction, with or without a `Z`, a
    /// space for the `T`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.strip_suffix('Z').unwrap_or(text);
        let (date, clock) = text.split_once(['T', ' ']).unwrap_or((text, "00:00"));
        let mut parts = date.split('-');
        let mut number = |digits| number(parts.next()?, digits);
        let (year, month, day) = (number(4)?, number(2)?, number(2)?);
        if parts.next().is_some() || !(1970..=9999).contains(&year) {
            return None;
        }
        let days = days(year, month, day);
        // A day that a month lacks comes out as another.
        if civil(days) != (year, month, day) {
            return None;
        }
        let (clock, fraction) = clock.split_once('.').unwrap_or((clock, "0"));
        if fraction.is_empty() || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let millis: u64 = format!("{fraction:0<3}").get(..3)?.parse().ok()?;
        let mut parts = clock.split(':');
        let (hour, minute) = (self::number(parts.next()?, 2)?, self::number(parts.next()?, 2)?);
        let second = parts.next().map_or(Some(0), |second| self::number(second, 2))?;
        if parts.next().is_some() || hour > 23 || minute > 59 || second > 59 {
            return None;
        }
        Some(Self(((days * DAY) + hour * 3600 + minute * 60 + second) * 1000 + millis))
    }
}

impl From<SystemTime> for Stamp {
    fn from(time: SystemTime) -> Self {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }
}

fn number(text: &str, digits: usize) -> Option<u64> {
    let plain = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit());
    if plain { text.parse().ok() } else { None }
}

/// Year, month and day of a day since 1970. Counted from a March, so that the odd day comes last.
const fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, more) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (year + era * 400 + more, month, day)
}

/// The day since 1970 of a year, a month and a day.
const fn days(year: u64, month: u64, day: u64) -> u64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let (era, year) = (year / 400, year % 400);
    let day = (153 * month + 2) / 5 + day - 1;
    era * 146_097 + year * 365 + year / 4 - year / 100 + day - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_in_time_are_those_that_date_prints() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399, "2000-02-28T23:59:59.000Z"),
            (951_782_400, "2000-02-29T00:00:00.000Z"),
            (1_795_618_862, "2026-11-25T15:01:02.000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(Stamp(seconds * 1000).text(), text);
            assert_eq!(Stamp::parse(text), Some(Stamp(seconds * 1000)));
        }
        assert_eq!(Stamp(1_795_618_862_123).name(), "20261125T150102123");
    }

    #[test]
    fn a_person_may_leave_out_what_is_nought() {
        let day = Stamp::parse("2026-11-25").unwrap();
        assert_eq!(Stamp::parse("2026-11-25T00:00"), Some(day));
        assert_eq!(Stamp::parse("2026-11-25 00:00:00"), Some(day));
        assert_eq!(Stamp::parse("2026-11-25T00:00:00.5Z"), Some(Stamp(day.0 + 500)));
        for wrong in
            ["", "2026", "2026-11", "2026-02-30", "2026-13-01", "2026-11-25T24:00", "26-1-1"]
        {
            assert_eq!(Stamp::parse(wrong), None, "{wrong}");
        }
        for days_since in 0..60_000 {
            let (year, month, day) = civil(days_since);
            assert_eq!(days(year, month, day), days_since);
        }
    }
}
