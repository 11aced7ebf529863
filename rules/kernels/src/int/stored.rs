//! How an activation is stored: bytes, or 16-bit words. The kernels of mixed widths read and write through this.

use super::Sign;

/// How elements lie in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stored {
    /// One byte an element.
    Byte(Sign),
    /// Two bytes an element, little endian, signed.
    Word,
}

impl Stored {
    /// Bytes of an element.
    pub fn bytes(self) -> usize {
        match self {
            Stored::Byte(_) => 1,
            Stored::Word => 2,
        }
    }

    /// Lowest and highest number.
    pub fn range(self) -> (i32, i32) {
        match self {
            Stored::Byte(sign) => sign.range(),
            Stored::Word => (i16::MIN.into(), i16::MAX.into()),
        }
    }

    /// The numbers of as many elements as `out` has room for, each less `zero`.
    #[inline(always)]
    pub fn widen(self, x: &[u8], zero: i32, out: &mut [i32]) {
        match self {
            Stored::Byte(Sign::Unsigned) => {
                out.iter_mut().zip(x).for_each(|(o, &b)| *o = i32::from(b).wrapping_sub(zero));
            }
            Stored::Byte(Sign::Signed) => {
                out.iter_mut().zip(x).for_each(|(o, &b)| *o = i32::from(b as i8).wrapping_sub(zero));
            }
            Stored::Word => {
                let words = x.as_chunks::<2>().0;
                out.iter_mut().zip(words).for_each(|(o, &w)| *o = i32::from(i16::from_le_bytes(w)).wrapping_sub(zero));
            }
        }
    }

    /// All numbers, each less `zero`.
    pub fn numbers(self, x: &[u8], zero: i32) -> Vec<i32> {
        let mut out = vec![0; x.len() / self.bytes()];
        self.widen(x, zero, &mut out);
        out
    }

    /// Stores numbers of the range.
    #[inline(always)]
    pub fn narrow(self, x: &[i32], out: &mut [u8]) {
        match self {
            Stored::Byte(_) => out.iter_mut().zip(x).for_each(|(o, &v)| *o = v as u8),
            Stored::Word => {
                let words = out.as_chunks_mut::<2>().0;
                words.iter_mut().zip(x).for_each(|(o, &v)| *o = (v as i16).to_le_bytes());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_of_a_form_survives_it() {
        for form in [Stored::Byte(Sign::Unsigned), Stored::Byte(Sign::Signed), Stored::Word] {
            let (lo, hi) = form.range();
            let all: Vec<i32> = (lo..=hi).collect();
            let mut bytes = vec![0; all.len() * form.bytes()];
            form.narrow(&all, &mut bytes);
            assert_eq!(form.numbers(&bytes, 0), all);
            assert_eq!(form.numbers(&bytes, 3)[7], all[7] - 3);
        }
    }
}
