//! DNS, from both sides: a question of a sandbox is answered or not, and what is asked for outside has an
//! answer or none; whatever the bytes. No answer is a question again, so that two cannot talk for ever.
#![no_main]

use sandboxd_egress::dns::{
    answer::{Zone, answer},
    ask::{Family, Found, MOST, found, question},
};
use sandboxd_egress_plan::HostName;
use std::net::IpAddr;

/// Those with an a at their beginning are there.
struct ThoseWithA;

impl Zone for ThoseWithA {
    fn addresses(&mut self, name: &HostName) -> Option<Vec<IpAddr>> {
        let known = name.as_str().starts_with("a");
        known.then(|| vec![IpAddr::from([198, 18, 0, 1]), IpAddr::from([0xfd; 16])])
    }
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let said = answer(bytes, &mut ThoseWithA, 60);
    if !said.message.is_empty() {
        assert_eq!(said.message.get(..2), bytes.get(..2), "it is to the same question");
        assert!(answer(&said.message, &mut ThoseWithA, 60).message.is_empty());
    }
    let Ok(name) = HostName::read(b"a.example") else { return };
    for family in [Family::Four, Family::Six] {
        // As they are, and as what follows the question that was asked.
        let mut reply = question(7, &name, family);
        if let Some(flags) = reply.get_mut(2) {
            *flags |= 0x80;
        }
        if let (Some(count), Some(byte)) = (reply.get_mut(7), bytes.first()) {
            *count = byte & 15;
        }
        reply.extend_from_slice(bytes);
        for message in [bytes, &reply] {
            if let Some(Found::Addresses(addresses)) = found(message, 7, &name, family) {
                assert!(addresses.len() <= MOST);
                assert!(addresses.iter().all(|it| it.is_ipv4() == (family == Family::Four)));
            }
        }
    }
});
