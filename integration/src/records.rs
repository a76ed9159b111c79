//! What the audit log of a case holds.

use crate::Outside;
use anyhow::Result;
use serde_json::Value;

impl Outside {
    /// The records of runs and calls so far, the oldest first; not what the log says of itself.
    ///
    /// # Errors
    /// Where they cannot be shown.
    pub fn records(&self) -> Result<Vec<Value>> {
        let shown = self.bare().waiving_nothing().verb("audit").option("show").option("--json");
        let shown = shown.run()?;
        shown.exited(0)?;
        let lines = shown.stdout.lines().map(|line| Ok(serde_json::from_str::<Value>(line)?));
        let records: Result<Vec<Value>> = lines.collect();
        let mut records = records?;
        records.retain(|one| one.get("actor").is_some());
        Ok(records)
    }
}
