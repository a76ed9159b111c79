//! `sandboxd service`: what runs inside the sandboxes that sandboxd makes for itself.

use super::NOT_SET_UP;
use super::typed::Service;
use crate::service::{broker, egress, terminal};
use sandboxd_profiles::Escape;

/// Does the service until its streams end.
pub(crate) fn service(service: &Service) -> u8 {
    let served = match service {
        Service::Terminal { escapes } => {
            let escapes: Vec<Escape> =
                escapes.iter().filter_map(|name| Escape::named(name)).collect();
            terminal::serve(&escapes).is_ok()
        }
        Service::Broker { plan } => broker::serve(plan.as_deref()).is_ok(),
        Service::Egress => egress::serve().is_ok(),
    };
    // Whoever reads the streams sees their end, and nobody reads more of it.
    if served { 0 } else { NOT_SET_UP }
}
