//! One suite for every engine: redb in a file, redb in memory, PostgreSQL.
//!
//! Needs the PostgreSQL server programs; see `testkit::postgres`.

#[cfg(test)]
mod bed;
#[cfg(test)]
mod cache;
#[cfg(test)]
mod concurrency;
#[cfg(test)]
mod crash;
#[cfg(test)]
mod feed;
#[cfg(test)]
mod jobs;
#[cfg(test)]
mod nodes;
#[cfg(test)]
mod rows;
