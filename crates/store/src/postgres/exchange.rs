//! One exchange with the database: bounded in time, and what it means when it fails.

use tokio_postgres::error::SqlState;

use crate::StoreError;
use crate::limits::DATABASE_EXCHANGE_MAX;

/// A failure, and what it means for the exchange.
pub(super) struct Failure {
    pub(super) error: StoreError,
    /// The connection is gone, or must be treated so.
    pub(super) lost: bool,
    /// The database asks for the transaction to be repeated.
    pub(super) repeat: bool,
}

impl Failure {
    pub(super) fn lost(error: StoreError) -> Failure {
        Failure {
            error,
            lost: true,
            repeat: false,
        }
    }

    pub(super) fn of(error: tokio_postgres::Error) -> Failure {
        let Some(state) = error.code() else {
            return Failure::lost(unavailable(&error.to_string()));
        };
        let repeat = matches!(
            *state,
            SqlState::T_R_SERIALIZATION_FAILURE | SqlState::T_R_DEADLOCK_DETECTED
        );
        // Class 08: connection; 57P: the server goes down or is not up; 25006:
        // a standby that is not, or no longer, the primary.
        let lost = state.code().starts_with("08")
            || state.code().starts_with("57P")
            || *state == SqlState::READ_ONLY_SQL_TRANSACTION;
        let error = if *state == SqlState::DISK_FULL {
            StoreError::Full
        } else if lost || repeat {
            unavailable(state.code())
        } else {
            StoreError::engine(error)
        };
        Failure { error, lost, repeat }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Failure {
        Failure {
            error,
            lost: false,
            repeat: false,
        }
    }
}

pub(super) fn unavailable(reason: &str) -> StoreError {
    StoreError::Unavailable(reason.into())
}

/// Awaits an exchange for as long as one may take.
pub(super) async fn exchange_failures<T>(
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    match tokio::time::timeout(DATABASE_EXCHANGE_MAX, work).await {
        Ok(outcome) => outcome,
        Err(_) => Err(Failure::lost(unavailable("it did not answer in time"))),
    }
}

pub(super) async fn exchange<T>(
    work: impl Future<Output = Result<T, tokio_postgres::Error>>,
) -> Result<T, Failure> {
    exchange_failures(async { work.await.map_err(Failure::of) }).await
}

pub(super) async fn bounded<T>(
    work: impl Future<Output = Result<T, tokio_postgres::Error>>,
) -> Result<T, StoreError> {
    exchange(work).await.map_err(|failure| failure.error)
}
