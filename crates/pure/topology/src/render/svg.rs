pub fn svg(_: &crate::Graph) -> String {
    String::new()
}
