//! Prints the page `docs/errors.md`.

#[expect(clippy::print_stdout, reason = "this program's purpose is its output")]
fn main() {
    print!("{}", catalog::errors_md());
}
