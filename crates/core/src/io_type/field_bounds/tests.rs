use super::*;

fn outcome(bounds: NumberBounds, value: impl NumberField) -> Result<(), String> {
    bounds.check(&value)
}

#[test]
fn e70_numbers_are_compared_exactly() {
    let min = |bound| NumberBounds { min: Some(bound), ..NumberBounds::default() };
    assert_eq!(outcome(min(Number::Int(1)), 1_u32), Ok(()));
    assert_eq!(outcome(min(Number::Int(1)), 0_u32), Err("Expected `int` >= 1".into()));
    // As floats these two are equal.
    let bound = (1_i64 << 53) + 1;
    assert!(outcome(min(Number::Int(bound)), 1_i64 << 53).is_err());
    assert_eq!(outcome(min(Number::Float(0.5)), f64::NAN), Err("Expected `float` >= 0.5".into()));
    assert_eq!(outcome(min(Number::Int(1)), None::<u8>), Ok(()));
    assert_eq!(outcome(min(Number::Int(1)), u64::MAX), Ok(()));
}

#[test]
fn e70_every_relation_is_enforced() {
    let max = NumberBounds { max: Some(Number::Int(9)), ..NumberBounds::default() };
    assert_eq!(outcome(max, 10_i64), Err("Expected `int` <= 9".into()));
    let above = NumberBounds { exclusive_min: Some(Number::Int(0)), ..NumberBounds::default() };
    assert_eq!(outcome(above, 0.0_f64), Err("Expected `float` > 0".into()));
    assert_eq!(outcome(above, f64::MIN_POSITIVE), Ok(()));
    let below = NumberBounds { exclusive_max: Some(Number::Float(1.0)), ..NumberBounds::default() };
    assert_eq!(outcome(below, 1.0_f32), Err("Expected `float` < 1.0".into()));
    let even = NumberBounds { multiple_of: Some(Number::Int(2)), ..NumberBounds::default() };
    assert_eq!(outcome(even, 3_u8), Err("Expected `int` that's a multiple of 2".into()));
    assert_eq!(outcome(even, -4_i8), Ok(()));
}

#[test]
fn e70_lengths_count_characters_and_elements() {
    let bounds = LengthBounds { min: Some(1), max: Some(2) };
    assert_eq!(bounds.check(&"äö".to_owned()), Ok(()));
    assert_eq!(bounds.check(&String::new()), Err("Expected `str` of length >= 1".into()));
    assert_eq!(bounds.check(&vec![1, 2, 3]), Err("Expected `array` of length <= 2".into()));
    assert_eq!(bounds.check(&BTreeMap::<String, u8>::new()), Err("Expected `object` of length >= 1".into()));
    assert_eq!(bounds.check(&None::<String>), Ok(()));
}

#[test]
fn e70_patterns_search() {
    let pattern = Pattern::new("^[a-z]+$");
    assert_eq!(pattern.check(&"abc".to_owned()), Ok(()));
    assert_eq!(pattern.check(&Some("a1".to_owned())), Err("Expected `str` matching regex '^[a-z]+$'".into()));
    assert_eq!(pattern.check(&None::<String>), Ok(()));
}

#[test]
fn e70_bounds_are_in_the_schema() {
    let mut schema = Schema::default();
    NumberBounds { min: Some(Number::Int(1)), exclusive_max: Some(Number::Float(2.5)), ..NumberBounds::default() }
        .describe(&mut schema);
    LengthBounds { min: Some(1), max: Some(3) }.describe::<Option<Vec<u8>>>(&mut schema);
    Pattern::new("a").describe(&mut schema);
    let want = serde_json::json!({"minimum": 1, "exclusiveMaximum": 2.5, "minItems": 1, "maxItems": 3, "pattern": "a"});
    assert_eq!(schema.to_value(), want);
}
