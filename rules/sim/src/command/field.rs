//! Fields of a record: one declaration of a command's struct gives encoding, decoding and text.

use crate::{Ddr, Elem, Sram};
use ptq_ir::Rounding;

/// A field's name and value as text.
pub(crate) type Shown = (&'static str, String);

/// A field's name, bytes and type.
pub(crate) type FieldLayout = (&'static str, usize, &'static str);

/// Writes fields one behind the other.
pub(crate) struct Writer<'a> {
    bytes: &'a mut [u8],
    at: usize,
}

impl<'a> Writer<'a> {
    pub(crate) fn new(bytes: &'a mut [u8]) -> Writer<'a> {
        Writer { bytes, at: 0 }
    }

    fn put(&mut self, data: &[u8]) {
        let end = self.at + data.len();
        self.bytes.get_mut(self.at..end).expect("invariant: every command fits its record").copy_from_slice(data);
        self.at = end;
    }
}

/// Reads fields one behind the other and remembers the first number without a meaning.
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    problem: Option<&'static str>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { bytes, problem: None }
    }

    fn take<const N: usize>(&mut self) -> [u8; N] {
        let (head, rest) = self.bytes.split_first_chunk::<N>().expect("invariant: every command fits its record");
        self.bytes = rest;
        *head
    }

    pub(crate) fn problem(&self) -> Option<&'static str> {
        self.problem
    }

    pub(crate) fn rest_is_zero(&self) -> bool {
        self.bytes.iter().all(|&b| b == 0)
    }
}

/// A value that a record can hold.
pub(crate) trait Field: Copy {
    /// Bytes in the record.
    const BYTES: usize;
    /// Type as the format's description names it.
    const TYPE: &'static str;
    fn put(self, w: &mut Writer<'_>);
    fn take(r: &mut Reader<'_>) -> Self;
    fn show(self) -> String;
}

macro_rules! number {
    ($($ty:ty),*) => {$(
        impl Field for $ty {
            const BYTES: usize = size_of::<$ty>();
            const TYPE: &'static str = stringify!($ty);
            fn put(self, w: &mut Writer<'_>) {
                w.put(&self.to_le_bytes());
            }
            fn take(r: &mut Reader<'_>) -> Self {
                <$ty>::from_le_bytes(r.take())
            }
            fn show(self) -> String {
                self.to_string()
            }
        }
    )*};
}
number!(u8, u16, u32, i16);

impl<T: Field, const N: usize> Field for [T; N] {
    const BYTES: usize = N * T::BYTES;
    const TYPE: &'static str = T::TYPE;
    fn put(self, w: &mut Writer<'_>) {
        self.into_iter().for_each(|v| v.put(w));
    }
    fn take(r: &mut Reader<'_>) -> Self {
        std::array::from_fn(|_| T::take(r))
    }
    fn show(self) -> String {
        self.map(T::show).join("x")
    }
}

impl Field for Ddr {
    const BYTES: usize = 4;
    const TYPE: &'static str = "DDR address";
    fn put(self, w: &mut Writer<'_>) {
        self.0.put(w);
    }
    fn take(r: &mut Reader<'_>) -> Self {
        Ddr(u32::take(r))
    }
    fn show(self) -> String {
        format!("ddr:{:#x}", self.0)
    }
}

impl Field for Sram {
    const BYTES: usize = 4;
    const TYPE: &'static str = "SRAM address";
    fn put(self, w: &mut Writer<'_>) {
        self.0.put(w);
    }
    fn take(r: &mut Reader<'_>) -> Self {
        Sram(u32::take(r))
    }
    fn show(self) -> String {
        format!("sram:{:#x}", self.0)
    }
}

/// A word stored as a byte: its values in the order of their numbers, with the text of each.
macro_rules! word {
    ($ty:ty, $what:literal, [$($value:path = $text:literal),*]) => {
        impl $crate::command::field::Field for $ty {
            const BYTES: usize = 1;
            const TYPE: &'static str = concat!("byte:" $(, " ", $text)*);
            fn put(self, w: &mut $crate::command::field::Writer<'_>) {
                let number = [$($value),*].iter().position(|v| *v == self).unwrap_or(0);
                (number as u8).put(w);
            }
            fn take(r: &mut $crate::command::field::Reader<'_>) -> Self {
                let number = usize::from(u8::take(r));
                let values = [$($value),*];
                values.get(number).copied().unwrap_or_else(|| {
                    r.fail($what);
                    values[0]
                })
            }
            fn show(self) -> String {
                match self { $($value => $text),* }.to_owned()
            }
        }
    };
}
pub(crate) use word;

impl Reader<'_> {
    pub(crate) fn fail(&mut self, what: &'static str) {
        self.problem.get_or_insert(what);
    }
}

word!(Elem, "element type is unknown", [Elem::I8 = "i8", Elem::U8 = "u8", Elem::I32 = "i32", Elem::I16 = "i16"]);
word!(Rounding, "rounding is unknown", [Rounding::Fixed = "fixed", Rounding::Float = "float"]);

/// Declares a command's struct; fields are stored in the order written.
macro_rules! fields {
    ($(#[$doc:meta])* pub struct $name:ident { $($(#[$field_doc:meta])* pub $field:ident: $ty:ty,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct $name { $($(#[$field_doc])* pub $field: $ty,)* }

        impl $name {
            pub(crate) fn put(&self, w: &mut $crate::command::field::Writer<'_>) {
                $($crate::command::field::Field::put(self.$field, w);)*
            }

            pub(crate) fn take(r: &mut $crate::command::field::Reader<'_>) -> $name {
                $name { $($field: $crate::command::field::Field::take(r),)* }
            }

            /// Name, bytes and type of every field in order.
            pub(crate) fn layout() -> Vec<$crate::command::field::FieldLayout> {
                vec![$((
                    stringify!($field),
                    <$ty as $crate::command::field::Field>::BYTES,
                    <$ty as $crate::command::field::Field>::TYPE,
                ),)*]
            }

            pub(crate) fn shown(&self) -> Vec<$crate::command::field::Shown> {
                vec![$((stringify!($field), $crate::command::field::Field::show(self.$field)),)*]
            }
        }
    };
}
pub(crate) use fields;
