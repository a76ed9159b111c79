//! Secrets that stand in the arguments of calls: that each place is one to which a call leads.

use super::Deciding;
use crate::origin::Written;
use crate::resolved::Placeholder;
use crate::schema::Placed;
use sandboxd_broker_plan::Placeholder as Planned;

impl Deciding<'_> {
    /// Where a secret stands for its placeholder.
    pub(super) fn placeholders(&mut self) -> Vec<Placeholder> {
        let secrets = &self.profile.secrets;
        let all = secrets.iter().flat_map(|(name, secret)| {
            secret.value.placeholder.iter().map(move |placed| (name, placed))
        });
        let mut placeholders = Vec::new();
        for (name, placed) in all {
            self.leads_somewhere(placed);
            let Placed { call, tools, arguments } = &placed.value;
            let texts =
                |list: &[Written<String>]| list.iter().map(|one| one.value.clone()).collect();
            placeholders.push(Placeholder {
                secret: name.to_string(),
                call: call.value.to_string(),
                tools: texts(tools),
                arguments: texts(arguments),
            });
        }
        placeholders
    }

    fn leads_somewhere(&mut self, placed: &Written<Placed>) {
        let Placed { call, tools, .. } = &placed.value;
        let Some(edge) = self.profile.calls.get(&call.value) else {
            let what = format!("this profile has no [call.{}]", call.value);
            let remedy = "name the call whose tool gets the secret, or remove it";
            self.refuse(&call.origin, what, remedy);
            return;
        };
        for tool in tools {
            let reach = &edge.value.reach.tools;
            if !reach.iter().any(|pattern| pattern.value.matches(&tool.value)) {
                let what = format!("[call.{}].tools does not allow {:?}", call.value, tool.value);
                self.refuse(&tool.origin, what, "name the tool there, too, or remove it here");
            }
        }
        let counts = Planned::COUNTS;
        if edge.value.max_request.as_ref().is_some_and(|most| most.value < 2 * counts) {
            let what = format!(
                "[call.{}].max_request leaves no room for it: a placeholder counts as {counts} bytes",
                call.value
            );
            self.refuse(&placed.origin, what, "write 16K or more there");
        }
    }
}
