//! The migrations are embedded by a macro that cargo cannot see into: rebuild when one changes.

fn main() {
    println!("cargo::rerun-if-changed=migrations");
}
