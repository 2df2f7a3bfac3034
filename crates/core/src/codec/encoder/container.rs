//! Arrays and maps being written.

use serde::ser::{
    Serialize, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
    SerializeTupleStruct, SerializeTupleVariant,
};

use super::{Done, EncodeError, Encoder};

/// What a container is.
#[derive(Clone, Copy)]
pub(super) enum Form {
    Array,
    Map,
}

/// An array or map being written.
pub(super) struct Container<'a, 'b> {
    encoder: &'a mut Encoder<'b>,
    form: Form,
    /// Where the header goes when the number of elements was not known, and the elements so far.
    unknown: Option<(usize, usize)>,
}

impl<'a, 'b> Container<'a, 'b> {
    pub(super) fn begin(encoder: &'a mut Encoder<'b>, form: Form, length: Option<usize>) -> Result<Self, EncodeError> {
        let mut unknown = None;
        match (form, length) {
            (Form::Array, Some(length)) => encoder.array_header(length)?,
            (Form::Map, Some(length)) => encoder.map_header(length)?,
            (_, None) => unknown = Some((encoder.out.len(), 0)),
        }
        Ok(Self { encoder, form, unknown })
    }

    fn value<T: Serialize + ?Sized>(&mut self, value: &T) -> Done {
        value.serialize(&mut *self.encoder)
    }

    fn counted<T: Serialize + ?Sized>(&mut self, value: &T) -> Done {
        if let Some((_, elements)) = &mut self.unknown {
            *elements += 1;
        }
        self.value(value)
    }

    fn named<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Done {
        self.encoder.text(name)?;
        self.value(value)
    }

    fn close(self) -> Done {
        let Some((at, elements)) = self.unknown else {
            return Ok(());
        };
        // Elements were written without a header: make room for it, now that their number is known.
        let mut header = Vec::with_capacity(5);
        let mut encoder = Encoder { out: &mut header };
        match self.form {
            Form::Array => encoder.array_header(elements)?,
            Form::Map => encoder.map_header(elements)?,
        }
        self.encoder.out.splice(at..at, header);
        Ok(())
    }
}

impl SerializeSeq for Container<'_, '_> {
    type Ok = ();
    type Error = EncodeError;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Done {
        self.counted(value)
    }

    fn end(self) -> Done {
        self.close()
    }
}

impl SerializeMap for Container<'_, '_> {
    type Ok = ();
    type Error = EncodeError;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Done {
        self.counted(key)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Done {
        self.value(value)
    }

    fn end(self) -> Done {
        self.close()
    }
}

/// The forms whose length is always known and whose elements have no names.
macro_rules! positional {
    ($($trait:ident $method:ident),*) => {$(
        impl $trait for Container<'_, '_> {
            type Ok = ();
            type Error = EncodeError;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Done {
                self.value(value)
            }

            fn end(self) -> Done {
                Ok(())
            }
        }
    )*};
}

positional!(SerializeTuple serialize_element, SerializeTupleStruct serialize_field, SerializeTupleVariant serialize_field);

/// The forms whose length is always known and whose elements have names.
macro_rules! by_name {
    ($($trait:ident),*) => {$(
        impl $trait for Container<'_, '_> {
            type Ok = ();
            type Error = EncodeError;

            fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Done {
                self.named(name, value)
            }

            fn end(self) -> Done {
                Ok(())
            }
        }
    )*};
}

by_name!(SerializeStruct, SerializeStructVariant);
