//! The load generator: [`options`] say what to do, [`run`] does it, [`report`] says how it
//! went.

pub mod connection;
pub mod exchange;
pub mod options;
pub mod report;
pub mod run;
