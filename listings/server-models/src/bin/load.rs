//! Sends requests to a server and tells how long the answers took.

use anyhow::Result;
use server_models::load::options::Options;
use server_models::load::run::run;

fn main() -> Result<()> {
    let options = Options::from_arguments();
    let report = run(&options)?;
    match options.json {
        true => println!("{:#}", report.json()),
        false => print!("{}", report.table()),
    }
    Ok(())
}
