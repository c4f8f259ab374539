//! Rows about service-linked roles that are gone: how their deletion went.

use std::collections::VecDeque;
use std::sync::Arc;

use gate::Permit;
use serde::{Deserialize, Serialize};
use store::{StoreError, Table, WriteTx};

use crate::limits::DELETION_TASKS_KEPT_MAX;
use crate::model::Role;
use crate::store::Rows;

/// The deletion tasks of the account that are remembered.
pub(crate) const DELETION_TASKS: Table<(), DeletionTasks> = Table::new("iam/deletion-tasks", 1);

/// The last of them, oldest first.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct DeletionTasks(VecDeque<DeletionTask>);

/// One request to delete a service-linked role, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DeletionTask {
    /// `task/aws-service-role/SERVICE/NAME/UUID`
    pub(crate) id: String,
    /// Why the role is still there; `None` if it is gone.
    pub(crate) failed: Option<String>,
}

impl DeletionTasks {
    /// With one more, the oldest forgotten beyond [`DELETION_TASKS_KEPT_MAX`].
    pub(crate) fn with(mut self, task: DeletionTask) -> DeletionTasks {
        if self.0.len() >= DELETION_TASKS_KEPT_MAX {
            self.0.pop_front();
        }
        self.0.push_back(task);
        self
    }

    /// The task with this id.
    pub(crate) fn find(&self, id: &str) -> Option<&DeletionTask> {
        self.0.iter().find(|task| task.id == id)
    }
}

impl Rows<'_> {
    /// The deletion tasks that are remembered.
    pub(crate) async fn deletion_tasks(&self) -> Result<DeletionTasks, StoreError> {
        let tasks = self.get(&DELETION_TASKS, &()).await?;
        Ok(tasks.map(|tasks| (*tasks).clone()).unwrap_or_default())
    }
}

/// Remembers what came of the deletion of a role.
pub(crate) fn put_deletion_tasks(tx: &mut WriteTx, _: &Permit<Arc<Role>>, tasks: &DeletionTasks) {
    tx.put(&DELETION_TASKS, &(), tasks);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_task_is_forgotten() {
        let task = |number: usize| DeletionTask {
            id: number.to_string(),
            failed: None,
        };
        let tasks = (0..=DELETION_TASKS_KEPT_MAX)
            .fold(DeletionTasks::default(), |tasks, number| tasks.with(task(number)));
        assert!(tasks.find("0").is_none());
        assert_eq!(tasks.find("1"), Some(&task(1)));
        assert!(tasks.find(&DELETION_TASKS_KEPT_MAX.to_string()).is_some());
    }
}
