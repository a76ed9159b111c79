//! What is remembered of the edges of the plan.

use crate::{
    limit::Repeated,
    schema::{Schema, SchemaError},
};
use sandboxd_broker_plan::{BrokerPlan, meant::Meant};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

/// Why a plan cannot be obeyed.
#[derive(Debug)]
pub enum RelayError {
    /// An edge names a caller or callee that the plan does not have.
    Dangling(String),
    /// A schema of an edge is none that can be checked.
    Schema {
        /// The edge.
        edge: String,
        /// The tool.
        tool: String,
        /// Why.
        why: String,
    },
}

impl fmt::Display for RelayError {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dangling(edge) => write!(to, "edge {edge} joins nobody"),
            Self::Schema { edge, tool, why } => {
                write!(to, "edge {edge}, arguments of {tool}: {why}")
            }
        }
    }
}

impl std::error::Error for RelayError {}

/// What is remembered of an edge.
#[derive(Debug)]
pub(super) struct EdgeState {
    pub(super) caller: usize,
    pub(super) callee: usize,
    pub(super) schemas: BTreeMap<String, Vec<Schema>>,
    pub(super) repeated: Repeated,
    pub(super) in_flight: u64,
    pub(super) queued: u32,
    /// What was told of the tools that calls over it meant.
    pub(super) meant: BTreeSet<Meant>,
    /// It was taken back, for good.
    pub(super) revoked: bool,
}

impl EdgeState {
    /// That of the edge at this place.
    pub(super) fn of(plan: &BrokerPlan, place: usize) -> Result<Self, RelayError> {
        let dangling = || RelayError::Dangling(place.to_string());
        let edge = plan.edges.get(place).ok_or_else(dangling)?;
        let mut schemas: BTreeMap<String, Vec<Schema>> = BTreeMap::new();
        for arguments in &edge.arguments {
            let schema = crate::json::parse(arguments.schema.as_bytes())
                .map_err(|error| error.to_string())
                .and_then(|value| {
                    Schema::compile(&value).map_err(|error: SchemaError| error.to_string())
                })
                .map_err(|why| RelayError::Schema {
                    edge: edge.name.to_string(),
                    tool: arguments.tool.clone(),
                    why,
                })?;
            schemas.entry(arguments.tool.clone()).or_default().push(schema);
        }
        let caller = plan.callers.iter().position(|caller| caller.name == edge.caller);
        let callee = plan.callees.iter().position(|callee| callee.name == edge.callee);
        Ok(Self {
            caller: caller.ok_or_else(dangling)?,
            callee: callee.ok_or_else(dangling)?,
            schemas,
            repeated: Repeated::new(edge.repeats),
            in_flight: 0,
            queued: 0,
            meant: BTreeSet::new(),
            revoked: false,
        })
    }
}
