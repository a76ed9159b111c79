//! The data of `builtin/syscalls/` as constants. `table.in` is made from it by the test in `generate`.

use super::data::{Answer, Base, Check, Condition, Group, Line, Sockets, Test};

include!("table.in");
