//! There is no way to ask the store without saying whose data it is about.

use std::path::Path;

/// The process's own affairs; no data of a tenant passes through them.
const OF_THE_PROCESS: &[&str] = &["open", "close", "check", "announce", "recover_unfinished"];

#[test]
fn every_function_of_the_store_names_its_tenant_or_says_why_not() {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut seen = 0;
    for file in files(&sources) {
        let text = std::fs::read_to_string(&file).unwrap();
        let production = text.split("#[cfg(test)]").next().unwrap_or_default();
        // Methods of the store only: the vault has its own types, with a scope in each function of its own.
        for block in production.split("\nimpl Store {").skip(1) {
            let block = block.split("\n}\n").next().unwrap_or_default();
            for function in block.split("    pub async fn ").skip(1) {
                let signature = function.split(" {\n").next().unwrap_or_default();
                let name = signature.split(['(', '<']).next().unwrap_or_default();
                let scoped = signature.contains("&TenantScope")
                    || signature.contains("Realm<'_>")
                    // A list of one tenant or, for the operator of the node, of all.
                    || signature.contains("Into<Reach>");
                // A row that was given out carries its own scope.
                let carried = signature.contains("claimed: &Delivery");
                let said = name.starts_with("node_") || name.starts_with("resolve_");
                assert!(
                    scoped || carried || said || OF_THE_PROCESS.contains(&name),
                    "{}: `{name}` takes no scope and does not say so in its name",
                    file.display()
                );
                seen += 1;
            }
        }
    }
    assert!(
        seen > 80,
        "{seen} functions: the reading of the sources went wrong"
    );
}

fn files(directory: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("readable").path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}
