use super::*;
use crate::error::ErrorKind;

fn text(text: &str) -> OptionValue {
    OptionValue::Str(text.into())
}

fn set(name: &str, value: OptionValue) -> Result<NamedOptions> {
    let mut options = NamedOptions::new();
    options.set(name, value).map(|()| options)
}

/// A value that every option of its kind takes.
fn sample(name: &str) -> OptionValue {
    match name {
        "cluster_size" | "l2_cache_size" | "offset" | "length" | "sparse_size" | "batch"
        | "rate" | "max_growth" => text("1M"),
        "table_size" | "max_depth" | "workers" => OptionValue::U64(2),
        "backing" | "base" | "undo" => text("base"),
        "preallocation" => text("full"),
        "repair" => text("all"),
        "format" | "backing_format" | "source_format" => text("raw"),
        "cache" | "source_cache" => text("none"),
        "lock" | "in_order" => text("off"),
        "aio" => text("threads"),
        "trust" => text("damaged"),
        "discard" => text("ignore"),
        "detect_zeroes" => text("unmap"),
        "backing_policy" => text("deny"),
        _ => OptionValue::Bool(true),
    }
}

#[test]
fn every_option_works_where_the_table_says_and_only_there() {
    // Goal: the table and the apply functions agree. Method: each option alone; where it applies it
    // changes the options' text, where it does not the call names it and lists its own.
    fn judge<T: std::fmt::Debug>(name: &str, with: Result<T>, without: Result<T>, applies: bool) {
        assert_eq!(with.is_ok(), applies, "{name}");
        let without = format!("{:?}", without.unwrap());
        match with {
            Ok(changed) => assert_ne!(format!("{changed:?}"), without, "{name}"),
            Err(error) => assert!(error.to_string().contains(&format!("no option {name:?}"))),
        }
    }
    let none = NamedOptions::new();
    for (name, calls, _) in KNOWN {
        let options = set(name, sample(name)).unwrap();
        judge(name, options.to_open(), none.to_open(), calls.open);
        judge(name, options.to_create(), none.to_create(), calls.create);
        judge(name, options.to_convert(), none.to_convert(), calls.convert);
        judge(name, options.to_compare(), none.to_compare(), calls.compare);
        judge(name, options.to_compact(), none.to_compact(), calls.compact);
        judge(name, options.to_stream(), none.to_stream(), calls.stream);
        judge(name, options.to_check(), none.to_check(), calls.check || calls.open);
        judge(name, options.to_queue(), none.to_queue(), calls.queue);
    }
}

#[test]
fn unknown_names_list_the_known() {
    let error = set("engine", text("io_uring")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    let said = error.to_string();
    assert!(said.starts_with("unknown option \"engine\"; known are format, "), "{said}");
    assert!(KNOWN.iter().all(|(name, ..)| said.contains(name)));
}

#[test]
fn unknown_values_list_the_known() {
    let said = set("cache", text("writeboth")).unwrap_err().to_string();
    let known = "takes writeback, none, writethrough, directsync, unsafe, not \"writeboth\"";
    assert!(said.ends_with(known), "{said}");
    let said = set("read_only", OptionValue::U64(1)).unwrap_err().to_string();
    assert_eq!(said, "option \"read_only\" takes on or off, not 1");
    let said = set("cluster_size", OptionValue::Bool(true)).unwrap_err().to_string();
    assert_eq!(said, "option \"cluster_size\" takes a size, not true");
    for (name, value) in [
        ("cluster_size", text("64Q")),
        ("max_depth", text("64K")),
        ("max_depth", OptionValue::U64(1 << 32)),
        ("backing", OptionValue::U64(1)),
        ("overwrite", text("maybe")),
        ("cache", OptionValue::Path("none".into())),
        ("backing_format", text("vmdk")),
    ] {
        let error = set(name, value).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        assert!(error.to_string().contains(&format!("{name:?}")), "{error}");
    }
}

#[test]
fn switches_read_words_and_booleans_alike() {
    for (value, on) in [
        (text("on"), true),
        (text("true"), true),
        (OptionValue::Bool(true), true),
        (text("off"), false),
        (text("false"), false),
        (OptionValue::Bool(false), false),
    ] {
        let options = set("read_only", value.clone()).unwrap().to_open().unwrap();
        assert_eq!(options.image.read_only, on);
        let options = set("lock", OptionValue::Bool(on)).unwrap().to_open().unwrap();
        assert_eq!(options.lock == LockMode::On, on);
    }
}

#[test]
fn the_last_value_counts_and_sizes_have_units() {
    let mut options = NamedOptions::new();
    options.set("cluster_size", text("64K")).unwrap();
    options.set("cluster_size", text("2M")).unwrap();
    assert_eq!(options.to_create().unwrap().cluster_size, Some(2 << 20));
}
