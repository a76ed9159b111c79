//! Sizes, times and counts as an operator writes them.

use sandboxd_broker_plan::{Millis, Rate};

/// A limit, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Amount {
    /// At most this much; 0 allows nothing.
    Limited(u64),
    /// The word `"unlimited"`.
    Unlimited,
}

impl Amount {
    /// The limit; nothing where there is none.
    #[must_use]
    pub const fn limit(self) -> Option<u64> {
        match self {
            Self::Limited(limit) => Some(limit),
            Self::Unlimited => None,
        }
    }
}

/// How often something may be done, as in `120/min burst 20`.
pub(crate) fn calls(raw: Raw<'_>) -> Result<Rate, Refusal> {
    let text = match raw {
        Raw::Text("unlimited") => return Ok(Rate::Unlimited),
        Raw::Text("0") | Raw::Integer("0", 10) => return Ok(NEVER),
        Raw::Text(text) => text,
        Raw::Integer(digits, _) => return refused(format!("{digits} has no period"), CALLS),
        Raw::Float(_) | Raw::Other => return refused("not a rate", CALLS),
    };
    let not_understood = || refused(format!("{text:?} is not understood"), CALLS);
    let Some((often, burst)) = text.split_once(" burst ") else {
        let says_how_often = text.contains('/') && !text.contains(' ');
        let remedy = "add how many are allowed at once: \"120/min burst 20\"";
        return if says_how_often { refused("no burst", remedy) } else { not_understood() };
    };
    let Some((number, period)) = often.split_once('/') else { return not_understood() };
    let (Some(count), Some(burst), Some(period)) =
        (plain(number), plain(burst), milliseconds(period))
    else {
        return not_understood();
    };
    if burst > count {
        return refused("the burst is larger than the number per period", CALLS);
    }
    Ok(Rate::Per { count, period: Millis(period), burst })
}

const NEVER: Rate = Rate::Per { count: 0, period: Millis(1000), burst: 0 };

/// A number of calls, in digits alone.
fn plain(text: &str) -> Option<u32> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

/// A period of at most a day: `s`, `min`, `h`, `10s`.
fn milliseconds(text: &str) -> Option<u64> {
    let counted = |unit: &str| text.strip_suffix(unit).and_then(plain).map(u64::from);
    let ms = match text {
        "s" => Some(1000),
        "min" | "m" => Some(60_000),
        "h" => Some(3_600_000),
        _ => counted("s")
            .and_then(|number| number.checked_mul(1000))
            .or_else(|| counted("m").and_then(|number| number.checked_mul(60_000)))
            .or_else(|| counted("h").and_then(|number| number.checked_mul(3_600_000))),
    };
    ms.filter(|ms| (1000..=86_400_000).contains(ms))
}

/// A value before it is understood.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Raw<'t> {
    Text(&'t str),
    /// Digits, perhaps with a sign, and their radix.
    Integer(&'t str, u32),
    Float(&'t str),
    Other,
}

/// Why a value is not a quantity.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) what: String,
    pub(crate) remedy: &'static str,
}

const SIZE: &str = "write bytes as an integer, or \"64K\", \"512M\", \"1G\", \"2T\"";
const TIME: &str = "write \"500ms\", \"90s\", \"10m\" or \"2h\"";
const RATE: &str = "write bytes per second: \"500K/s\", \"50M/s\" or \"1G/s\"";
const CALLS: &str = "write a rate and a burst: \"120/min burst 20\", \"2/s burst 2\"";
const MONEY: &str = "write 2.50, without a currency: it is that of the prices";
const COUNT: &str = "write an integer";
const CPUS: &str = "write a number of CPUs such as 0.5 or 2";
/// Nothing that is measured here exceeds this: 2^50 bytes, a quadrillion of anything.
const MOST: u64 = 1 << 50;

fn refused<T>(what: impl Into<String>, remedy: &'static str) -> Result<T, Refusal> {
    Err(Refusal { what: what.into(), remedy })
}

/// Bytes.
pub(crate) fn size(raw: Raw<'_>) -> Result<Amount, Refusal> {
    const UNITS: &[(&str, u64)] =
        &[("K", 1 << 10), ("M", 1 << 20), ("G", 1 << 30), ("T", 1 << 40), ("", 1)];
    measured(raw, UNITS, true, SIZE)
}

/// Bytes per second.
pub(crate) fn rate(raw: Raw<'_>) -> Result<Amount, Refusal> {
    const UNITS: &[(&str, u64)] =
        &[("K/s", 1 << 10), ("M/s", 1 << 20), ("G/s", 1 << 30), ("/s", 1)];
    measured(raw, UNITS, false, RATE)
}

/// Milliseconds.
pub(crate) fn time(raw: Raw<'_>) -> Result<Amount, Refusal> {
    const UNITS: &[(&str, u64)] = &[("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000)];
    measured(raw, UNITS, false, TIME)
}

/// A number of things.
pub(crate) fn count(raw: Raw<'_>) -> Result<Amount, Refusal> {
    measured(raw, &[], true, COUNT)
}

/// Thousandths of a CPU.
pub(crate) fn cpus(raw: Raw<'_>) -> Result<Amount, Refusal> {
    let text = match raw {
        Raw::Text("unlimited") => return Ok(Amount::Unlimited),
        Raw::Integer(digits, 10) => digits,
        Raw::Float(digits) => digits,
        Raw::Text(_) | Raw::Integer(..) | Raw::Other => return refused("not a number", CPUS),
    };
    let text = text.replace('_', "");
    let (whole, part) = text.split_once('.').unwrap_or((&text, ""));
    if whole.starts_with('-') {
        return refused(format!("{text} is negative"), CPUS);
    }
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let whole = whole.trim_start_matches('+');
    if whole.is_empty() || !digits(whole) || !digits(part) || part.len() > 3 {
        return refused(format!("{text} is not a number with at most three decimals"), CPUS);
    }
    let milli = format!("{whole}{part:0<3}").parse::<u64>().ok();
    match milli.filter(|milli| *milli <= 4_096_000) {
        Some(milli) => Ok(Amount::Limited(milli)),
        None => refused(format!("{text} is more CPUs than any machine has"), CPUS),
    }
}

/// Money, in billionths of whatever it is counted in.
pub(crate) fn money(raw: Raw<'_>) -> Result<Amount, Refusal> {
    let text = match raw {
        Raw::Text("unlimited") => return Ok(Amount::Unlimited),
        Raw::Text(text) | Raw::Float(text) | Raw::Integer(text, 10) => text.replace('_', ""),
        Raw::Integer(..) | Raw::Other => return refused("not an amount of money", MONEY),
    };
    let (whole, part) = text.split_once('.').unwrap_or((&text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(part) || part.len() > 9 {
        return refused(format!("{text:?} is not an amount of money"), MONEY);
    }
    match format!("{whole}{part:0<9}").parse().ok().filter(|billionths| *billionths <= MOST) {
        Some(billionths) => Ok(Amount::Limited(billionths)),
        None => {
            refused(format!("{text} is too large"), "write less than a million, or \"unlimited\"")
        }
    }
}

fn measured(
    raw: Raw<'_>,
    units: &[(&str, u64)],
    bare: bool,
    remedy: &'static str,
) -> Result<Amount, Refusal> {
    let (digits, radix, unit) = match raw {
        Raw::Text("unlimited") => return Ok(Amount::Unlimited),
        Raw::Integer(digits, radix) if bare => (digits, radix, 1),
        Raw::Text(text) => {
            let cut = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
            let (digits, suffix) = text.split_at(cut);
            let zero = !digits.is_empty() && digits.bytes().all(|byte| byte == b'0');
            let unit = units.iter().find(|(name, _)| *name == suffix).map(|(_, unit)| *unit);
            let unit = unit.or((suffix.is_empty() && zero).then_some(1));
            match unit {
                Some(unit) if !digits.is_empty() => (digits, 10, unit),
                _ if text.starts_with('-') => {
                    return refused(format!("{text:?} is negative"), remedy);
                }
                _ => return refused(format!("{text:?} is not understood"), remedy),
            }
        }
        Raw::Integer(digits, _) => return refused(format!("{digits} has no unit"), remedy),
        Raw::Float(text) => return refused(format!("{text} is not a whole number"), remedy),
        Raw::Other => return refused("not a quantity", remedy),
    };
    if digits.starts_with('-') && digits.bytes().any(|byte| matches!(byte, b'1'..=b'9')) {
        return refused(format!("{digits} is negative"), remedy);
    }
    let digits = digits.replace('_', "");
    let value = u64::from_str_radix(digits.trim_start_matches(['+', '-']), radix).ok();
    match value.and_then(|value| value.checked_mul(unit)).filter(|value| *value <= MOST) {
        Some(value) => Ok(Amount::Limited(value)),
        None => {
            refused(format!("{digits} is too large"), "write a smaller number, or \"unlimited\"")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_times_are_in_bytes_and_milliseconds() {
        for (text, bytes) in [("512M", 512 << 20), ("1G", 1 << 30), ("0", 0), ("64K", 65536)] {
            assert_eq!(size(Raw::Text(text)), Ok(Amount::Limited(bytes)), "{text}");
        }
        assert_eq!(size(Raw::Integer("10", 16)), Ok(Amount::Limited(16)));
        for (text, ms) in [("10m", 600_000), ("90s", 90_000), ("500ms", 500), ("0", 0)] {
            assert_eq!(time(Raw::Text(text)), Ok(Amount::Limited(ms)), "{text}");
        }
        assert_eq!(rate(Raw::Text("50M/s")), Ok(Amount::Limited(50 << 20)));
        assert!(rate(Raw::Text("50M")).is_err());
        assert!(rate(Raw::Integer("50", 10)).is_err());
        assert_eq!(cpus(Raw::Float("1.5")), Ok(Amount::Limited(1500)));
        assert_eq!(cpus(Raw::Integer("2", 10)), Ok(Amount::Limited(2000)));
        for (text, billionths) in
            [("2.50", 2_500_000_000), ("0", 0), ("3", 3_000_000_000), ("0.000_000_001", 1)]
        {
            assert_eq!(money(Raw::Text(text)), Ok(Amount::Limited(billionths)), "{text}");
            assert_eq!(money(Raw::Float(text)), Ok(Amount::Limited(billionths)), "{text}");
        }
        for text in ["", ".5", "-1", "+1", "1e3", "1.0000000001", "2,50", "$2", "99999999", "inf"] {
            assert!(money(Raw::Text(text)).is_err(), "{text}");
        }
        assert_eq!(size(Raw::Text("unlimited")), Ok(Amount::Unlimited));
    }

    #[test]
    fn a_rate_says_how_often_and_how_many_at_once() {
        for (text, count, period, burst) in [
            ("120/min burst 20", 120, 60_000, 20),
            ("600/60s burst 60", 600, 60_000, 60),
            ("2/s burst 1", 2, 1000, 1),
            ("10/24h burst 0", 10, 86_400_000, 0),
            ("0", 0, 1000, 0),
        ] {
            let wanted = Rate::Per { count, period: Millis(period), burst };
            assert_eq!(calls(Raw::Text(text)), Ok(wanted), "{text}");
        }
        assert_eq!(calls(Raw::Text("unlimited")), Ok(Rate::Unlimited));
        for text in [
            "",
            "120",
            "120/min",
            "120/min burst",
            "120/min burst 121",
            "120 /min burst 2",
            "-1/min burst 1",
            "1/0s burst 1",
            "1/25h burst 1",
            "1/day burst 1",
            "+1/s burst 1",
            "99999999999/s burst 1",
            "1/99999999999h burst 1",
        ] {
            assert!(calls(Raw::Text(text)).is_err(), "{text}");
        }
        assert!(calls(Raw::Integer("120", 10)).is_err());
    }

    #[test]
    fn what_is_not_a_quantity_is_refused() {
        for raw in [
            Raw::Text("-1"),
            Raw::Text(""),
            Raw::Text("M"),
            Raw::Text("1.5G"),
            Raw::Text("1 G"),
            Raw::Text("1g"),
            Raw::Text("999999999999999999999"),
            Raw::Integer("-1", 10),
            Raw::Integer("99999999999999999999999999", 10),
            Raw::Float("1.0"),
            Raw::Other,
        ] {
            assert!(size(raw).is_err(), "{raw:?}");
        }
        for raw in [Raw::Integer("90", 10), Raw::Text("90"), Raw::Text("1d")] {
            assert!(time(raw).is_err(), "{raw:?}");
        }
        for raw in [Raw::Float("nan"), Raw::Float("inf"), Raw::Float("-1.0"), Raw::Float("1e9")] {
            assert!(cpus(raw).is_err(), "{raw:?}");
        }
    }
}
