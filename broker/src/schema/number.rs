//! Numbers, compared by what they are and not by how they were written.

use crate::json::Number;
use std::cmp::Ordering;

/// Which is greater; nothing where one is beyond what can be told apart.
pub(super) fn compare(one: &Number, two: &Number) -> Option<Ordering> {
    match (whole(one), whole(two)) {
        (Some(one), Some(two)) => Some(one.cmp(&two)),
        _ => float(one)?.partial_cmp(&float(two)?),
    }
}

/// Whether it is an integer, `1.0` among them.
pub(super) fn is_integer(number: &Number) -> bool {
    number.is_integer() || float(number).is_some_and(|float| float.fract() == 0.0)
}

/// Whether one is a multiple of the other; nothing where that cannot be told.
pub(super) fn is_multiple(number: &Number, of: &Number) -> Option<bool> {
    if let (Some(number), Some(of)) = (whole(number), whole(of)) {
        return number.checked_rem(of).map(|rest| rest == 0);
    }
    let times = float(number)? / float(of)?;
    // 0.3 is three times 0.1, though not in binary.
    times.is_finite().then(|| (times - times.round()).abs() < 1e-9)
}

fn whole(number: &Number) -> Option<i128> {
    number.text().parse().ok()
}

fn float(number: &Number) -> Option<f64> {
    number.text().parse().ok().filter(|float: &f64| float.is_finite())
}
