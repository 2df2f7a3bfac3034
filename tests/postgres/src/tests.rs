use super::*;

#[test]
fn a_server_keeps_what_it_has_over_a_crash_and_ends_with_its_guard() {
    let mut postgres = Postgres::start().unwrap();
    let (first, second) = (postgres.database().unwrap(), postgres.database().unwrap());
    assert_ne!(first, second);
    postgres.sql("test0", "CREATE TABLE t (a int); INSERT INTO t VALUES (7)").unwrap();
    postgres.stop();
    assert!(postgres.sql("test0", "SELECT a FROM t").is_err());
    postgres.run().unwrap();
    assert_eq!(postgres.sql("test0", "SELECT a FROM t").unwrap(), "7");
    assert!(postgres.sql("test1", "SELECT a FROM t").is_err());
    let server =
        postgres.sql("postgres", "SELECT pid FROM pg_stat_activity WHERE backend_type = 'checkpointer'").unwrap();
    drop(postgres);
    assert!(!Path::new("/proc").join(server).exists());
}

#[test]
fn a_small_disk_is_full_for_the_databases_on_it_and_for_no_other() {
    let postgres = Postgres::start_with_small_disk(24).unwrap();
    postgres.database_on_small_disk().unwrap();
    postgres.database().unwrap();
    let fill = "CREATE TABLE t (a text); INSERT INTO t SELECT md5(generate_series(1, 500000)::text)";
    let refused = postgres.sql("test0", fill).unwrap_err().to_string();
    assert!(refused.contains("space"), "{refused}");
    postgres.sql("test1", fill).unwrap();
}
