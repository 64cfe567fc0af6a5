//! Every input that was ever of interest goes through its target again.

#[test]
fn the_corpus_is_replayed() {
    assert!(fuzz::replay::replay(&[]), "see what was printed above");
}
