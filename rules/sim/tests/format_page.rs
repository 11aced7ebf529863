//! `docs/format.md` says what the code does.

#[test]
fn the_page_holds_the_record_table_as_the_code_has_it() {
    let page = include_str!("../../../docs/format.md");
    let table = ptq_sim::record_table();
    assert!(page.contains(&table), "replace the table of docs/format.md by:\n{table}");
}
