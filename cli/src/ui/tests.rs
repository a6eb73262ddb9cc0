use super::*;

#[test]
fn numbers_stand_under_each_other() {
    let rows = vec![
        vec!["a".to_owned(), "1.5".to_owned(), "0x12".to_owned()],
        vec!["bb".to_owned(), "-".to_owned(), "0x1".to_owned()],
    ];
    assert_eq!(
        table(&["name", "ETH", "id"], rows),
        "name  ETH  id\na     1.5  0x12\nbb      -  0x1\n"
    );
    assert_eq!(table(&["name"], Vec::new()), "name\n");
    assert_eq!(
        aligned(&[("a", "1".to_owned()), ("long", "2".to_owned())]),
        "a     1\nlong  2\n"
    );
}
