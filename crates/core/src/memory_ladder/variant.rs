//! Which of several forms of a model this machine runs.

use std::cmp::Ordering;

/// Share of its memory that a variant takes in the emergency form.
const EMERGENCY_SHARE: f64 = 0.45;

/// What a variant needs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct VariantNeeds {
    /// Accelerator memory in GiB; none = not declared.
    pub vram_gb: Option<f64>,
    /// Lowest compute capability, two digits joined; 0 = any.
    pub sm_min: u32,
    /// Libraries that must be there.
    pub libraries: Vec<String>,
    /// It is the form the others were made from.
    pub is_base: bool,
}

/// What the machine has.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct VariantSupply {
    /// Compute capability, two digits joined; 0 = no accelerator.
    pub sm: u32,
    /// Free accelerator memory in GiB.
    pub free_vram_gb: f64,
    /// Libraries that are there.
    pub libraries: Vec<String>,
    /// Somebody allowed the emergency form.
    pub emergency_allowed: bool,
}

/// How well a variant fits, from best to worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fit {
    /// As it is.
    Fits,
    /// In the emergency form.
    Emergency,
    /// With parts of it elsewhere.
    Offload,
    /// Never here.
    Incompatible,
}

impl VariantNeeds {
    /// How this variant fits.
    #[must_use]
    pub fn fit(&self, supply: &VariantSupply) -> Fit {
        let lacks = |library: &String| !supply.libraries.contains(library);
        if supply.sm == 0 || supply.sm < self.sm_min || self.libraries.iter().any(lacks) {
            return Fit::Incompatible;
        }
        match self.vram_gb {
            Some(needed) if needed > supply.free_vram_gb => {
                let squeezed = supply.emergency_allowed && EMERGENCY_SHARE * needed <= supply.free_vram_gb;
                if squeezed { Fit::Emergency } else { Fit::Offload }
            }
            _ => Fit::Fits,
        }
    }

    /// By memory; what declares none counts as the smallest.
    fn by_size(&self, other: &Self) -> Ordering {
        self.vram_gb.unwrap_or(0.0).total_cmp(&other.vram_gb.unwrap_or(0.0))
    }
}

/// The variant that runs here, by index, and how: the largest that fits, else the largest in the emergency form, else
/// the base, else the smallest. None when none is compatible. Of the same size the first counts.
#[must_use]
pub fn choose_variant(variants: &[VariantNeeds], supply: &VariantSupply) -> Option<(usize, Fit)> {
    let fits: Vec<_> = variants.iter().map(|variant| variant.fit(supply)).collect();
    let of = |fit| variants.iter().zip(&fits).enumerate().filter(move |(_, (_, is))| **is == fit);
    // The last of equals is the largest by `max_by`: from behind it is the first.
    let largest = |fit| {
        let all: Vec<_> = of(fit).collect();
        all.into_iter().rev().max_by(|a, b| a.1.0.by_size(b.1.0)).map(|(index, _)| (index, fit))
    };
    largest(Fit::Fits).or_else(|| largest(Fit::Emergency)).or_else(|| {
        let base = of(Fit::Offload).find(|(_, (variant, _))| variant.is_base);
        let chosen = base.or_else(|| of(Fit::Offload).min_by(|a, b| a.1.0.by_size(b.1.0)));
        chosen.map(|(index, _)| (index, Fit::Offload))
    })
}

#[cfg(test)]
mod tests;
