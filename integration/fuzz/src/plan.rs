//! The plan decoder: whatever the bytes, an answer; and what decodes is a plan that encodes to bytes
//! which decode to the same plan.
#![no_main]

use sandboxd_plan::wire;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Ok(plan) = wire::decode(bytes) else { return };
    // Only a plan near the limit may fail to encode: escapes take more room than what they stand for.
    let Ok(again) = wire::encode(&plan) else { return };
    assert_eq!(wire::decode(&again).as_ref(), Ok(&plan));
});
