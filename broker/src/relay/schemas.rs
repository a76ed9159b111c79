//! The schemas of tools: of those that an edge reaches, and within what their callee may take of the broker's memory.

use super::{CallId, InstanceId, Relay};
use crate::{
    json::{Object, Value},
    mcp::{list::Listed, method::Target},
    schema::{Schema, SchemaError},
};
use std::sync::Arc;

/// How many bytes the schemas of all callees take together, and those of one at least and at most.
const ALL: usize = 32 << 20;
const LEAST: usize = 512 << 10;
const MOST: usize = 8 << 20;

/// How many bytes those of one take, of so many.
pub(super) fn share(callees: usize) -> usize {
    (ALL / callees.max(1)).clamp(LEAST, MOST)
}

impl Relay {
    /// How many bytes of schemas may be compiled of one answer.
    pub(super) fn compiles(&self, instance: InstanceId) -> usize {
        let callee = self.instances.get(&instance).and_then(|it| self.callees.get(it.callee));
        callee.map_or(0, |callee| callee.schemas.most())
    }

    /// By what the arguments of a tool are checked; nothing of a prompt, and of a tool that no edge reaches.
    pub(super) fn schema(
        &mut self,
        instance: InstanceId,
        listed: Listed,
        entry: &Object,
        left: &mut usize,
    ) -> Result<Option<Arc<Schema>>, SchemaError> {
        let callee = self.instances.get(&instance).map_or(usize::MAX, |known| known.callee);
        let name = listed.name(entry).unwrap_or_default();
        let is_reached = self.is_reached(callee, &Target::Tool(name.to_owned()));
        let state = self.callees.get_mut(callee).filter(|_| is_reached && listed == Listed::Tools);
        let schema = entry.get("inputSchema").unwrap_or(&Value::Bool(true));
        state.map(|state| state.schemas.get(schema, left)).transpose()
    }

    /// Takes out of a list the tools whose arguments cannot be checked, and those that no edge reaches.
    pub(super) fn only_checkable(&mut self, id: CallId, result: &mut Object) {
        let from = self.calls.get(&id).and_then(|call| call.instance);
        let (Some(from), Some(Value::Array(tools))) = (from, result.get_mut("tools")) else {
            return;
        };
        let mut left = self.compiles(from);
        tools.retain(|entry| {
            let schema =
                entry.as_object().map(|it| self.schema(from, Listed::Tools, it, &mut left));
            matches!(schema, Some(Ok(Some(_))))
        });
    }
}
