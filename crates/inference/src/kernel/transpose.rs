//! Transposition of a few rows, for packing weights and keys.

/// Rows and columns moved at a time: one vector of each.
const SIDE: usize = 8;

/// `target[c * rows.len() + r] = rows[r][c]`, for as many columns as the first row has.
///
/// # Panics
///
/// When a row is shorter than the first, or `target` than the result.
#[inline(always)]
pub(super) fn apply<const FUSED: bool>(rows: &[&[f32]], target: &mut [f32]) {
    let (width, columns) = (rows.len(), rows.first().map_or(0, |row| row.len()));
    for (index, group) in rows.chunks(SIDE).enumerate() {
        let offset = index * SIDE;
        let mut column = 0;
        if let Ok(group) = <&[&[f32]; SIDE]>::try_from(group) {
            while column + SIDE <= columns {
                let block: [[f32; SIDE]; SIDE] = group.map(|row| *side(&row[column..]));
                for step in 0..SIDE {
                    let start = (column + step) * width + offset;
                    target[start..start + SIDE].copy_from_slice(&block.map(|row| row[step]));
                }
                column += SIDE;
            }
        }
        for column in column..columns {
            for (row, value) in group.iter().zip(&mut target[column * width + offset..]) {
                *value = row[column];
            }
        }
    }
}

#[inline(always)]
fn side(values: &[f32]) -> &[f32; SIDE] {
    values.first_chunk().expect("a whole block is left")
}
