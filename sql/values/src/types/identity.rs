//! Which type is which, as `pg_type` has it: questions to its [`TypeDef`].

use super::definition::{Form, TypeDef};
use super::{ElementType, SqlType, TypeId};

impl SqlType {
    /// Every type without modifiers, arrays included, in order of oid: the rows of `pg_type`.
    pub fn all() -> impl Iterator<Item = SqlType> {
        let mut scalars: Vec<SqlType> = TypeId::ALL.iter().map(|id| id.def().ty).collect();
        scalars.sort_by_key(|ty| ty.oid());
        let arrays: Vec<SqlType> = scalars.iter().filter_map(|ty| ty.array()).collect();
        scalars.into_iter().chain(arrays)
    }

    /// Its oid in `pg_type`.
    pub fn oid(self) -> u32 {
        match self {
            SqlType::Array(element) => element.def().array_oid,
            other => other.def().oid,
        }
    }

    fn find(is_it: impl Fn(&TypeDef) -> bool) -> Option<TypeId> {
        TypeId::ALL.iter().copied().find(|id| is_it(id.def()))
    }

    /// The type with this oid, without modifier.
    pub fn from_oid(oid: u32) -> Option<SqlType> {
        if let Some(id) = SqlType::find(|def| def.oid == oid) {
            return Some(id.def().ty);
        }
        SqlType::find(|def| def.array_oid == oid && oid != 0).map(TypeId::array)
    }

    /// The type of this name: `pg_type`'s, or SQL's, with `[]` for an array. Without modifiers.
    pub fn from_name(name: &str) -> Option<SqlType> {
        if let Some(element) = name.strip_suffix("[]") {
            return SqlType::from_name(element)?.array();
        }
        // SQL's `char` is not the type that pg_type calls char.
        if let Some(id) = SqlType::find(|def| def.aliases.contains(&name)) {
            return Some(id.def().ty);
        }
        if let Some(id) = SqlType::find(|def| def.name == name) {
            return Some(id.def().ty);
        }
        SqlType::from_typname(name)
    }

    /// The type of this name in `pg_type`, where arrays have `_` before their elements' name.
    pub fn from_typname(name: &str) -> Option<SqlType> {
        if let Some(id) = SqlType::find(|def| def.typname == name) {
            return Some(id.def().ty);
        }
        let element = name.strip_prefix('_')?;
        SqlType::find(|def| def.typname == element)?.def().ty.array()
    }

    /// `typname` in `pg_type`.
    pub fn typname(self) -> String {
        match self {
            SqlType::Array(element) => format!("_{}", element.def().typname),
            other => other.def().typname.to_owned(),
        }
    }

    /// The name that users read, as `format_type` gives it, with the modifier if there is one.
    pub fn name(self) -> String {
        match (self, self.def().modifier) {
            (SqlType::Array(element), _) => format!("{}[]", element.scalar().name()),
            (_, Some(modifier)) if self.typmod() != -1 => (modifier.name)(self),
            _ => self.def().name.to_owned(),
        }
    }

    /// `typlen`: bytes, or -1 for a varying length.
    pub fn typlen(self) -> i16 {
        self.def().len
    }

    /// `typbyval`: PostgreSQL passes it in a register.
    pub fn is_by_value(self) -> bool {
        matches!(self.typlen(), 1 | 2 | 4 | 8)
    }

    /// `typcategory`: what the resolution of operators goes by.
    pub fn category(self) -> char {
        self.def().category
    }

    /// `typispreferred`: wins within its category.
    pub fn preferred(self) -> bool {
        self.def().preferred
    }

    /// The type without its modifier.
    pub fn base(self) -> SqlType {
        match self {
            SqlType::Array(element) => element.id.array(),
            other => other.def().ty,
        }
    }

    /// The modifier as `atttypmod` has it; -1 if there is none.
    pub fn typmod(self) -> i32 {
        match (self, self.def().modifier) {
            (SqlType::Array(element), _) => element.typmod,
            (_, Some(modifier)) => (modifier.typmod)(self),
            (_, None) => -1,
        }
    }

    /// This type with a modifier from `atttypmod`. One that means nothing leaves the type without.
    pub fn with_typmod(self, typmod: i32) -> SqlType {
        match (self, self.def().modifier) {
            (SqlType::Array(element), _) => {
                let scalar = element.def().ty.with_typmod(typmod);
                scalar.array_of().unwrap_or(self)
            }
            (_, Some(modifier)) => (modifier.with_typmod)(typmod),
            (_, None) => self,
        }
    }

    /// The type of the elements of an array type.
    pub fn element(self) -> Option<SqlType> {
        match self {
            SqlType::Array(element) => Some(element.scalar()),
            SqlType::Int2Vector => Some(SqlType::Int2),
            SqlType::OidVector => Some(SqlType::Oid),
            _ => None,
        }
    }

    /// The type of arrays of this type; its modifier is lost.
    pub fn array(self) -> Option<SqlType> {
        self.base().array_of()
    }

    /// The type of arrays of this type with its modifier, as it is declared.
    pub fn array_of(self) -> Option<SqlType> {
        let id = TypeId::of(self).filter(|id| id.def().array_oid != 0)?;
        Some(SqlType::Array(ElementType { id, typmod: self.typmod() }))
    }

    /// Oid of the array type, for `typarray`; zero if there is none.
    pub fn array_oid(self) -> u32 {
        self.array().map_or(0, SqlType::oid)
    }

    /// The least subscript of its values: vectors count from 0.
    pub fn lower_bound(self) -> i32 {
        i32::from(!matches!(self, SqlType::Int2Vector | SqlType::OidVector))
    }

    /// True iff values are kept as text.
    pub fn is_text(self) -> bool {
        matches!(self.form(), Form::Text | Form::Padded)
    }

    /// True iff values name objects of the catalog.
    pub fn is_named(self) -> bool {
        self.is_oid() && self != SqlType::Oid
    }

    /// True iff values name objects of the catalog, or hold such.
    pub fn holds_names(self) -> bool {
        self.is_named() || self.element().is_some_and(SqlType::is_named)
    }

    /// True iff values are kept as [`super::Datum::Oid`].
    pub fn is_oid(self) -> bool {
        self.form() == Form::Oid
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::IntervalModifier;

    #[test]
    fn every_type_is_found_again_by_its_oid_and_names() {
        for ty in SqlType::all() {
            assert_ne!(ty.oid(), 0, "{ty:?}");
            assert_eq!(SqlType::from_oid(ty.oid()), Some(ty));
            assert_eq!(SqlType::from_name(&ty.name()), Some(ty), "{}", ty.name());
            if ty != SqlType::InternalChar && !matches!(ty, SqlType::Array(_)) {
                assert_eq!(SqlType::from_name(&ty.typname()), Some(ty), "{}", ty.typname());
            }
            if let Some(array) = ty.array() {
                assert_eq!(array.element(), Some(ty));
            }
        }
        assert_eq!(SqlType::from_oid(0), None);
        assert_eq!(SqlType::from_name("int[]").map(SqlType::oid), Some(1007));
        assert_eq!(TypeId::Text.array().typname(), "_text");
    }

    fn interval(fields: i32, digits: i32) -> SqlType {
        SqlType::Interval(IntervalModifier::of_typmod((fields << 16) | digits))
    }

    #[test]
    fn modifiers_are_postgresqls() {
        let cases = [
            (SqlType::Numeric(Some((10, 2))), 655_366, "numeric(10,2)"),
            (SqlType::Numeric(Some((3, -2))), 198_658, "numeric(3,-2)"),
            (SqlType::Varchar(Some(20)), 24, "character varying(20)"),
            (SqlType::Char(Some(1)), 5, "character(1)"),
            (SqlType::Time(Some(0)), 0, "time(0) without time zone"),
            (SqlType::TimestampTz(Some(3)), 3, "timestamp(3) with time zone"),
            (interval(1032, 1), (1032 << 16) | 1, "interval day to hour(1)"),
            (interval(0x7fff, 2), (0x7fff << 16) | 2, "interval(2)"),
            (interval(4, 0xffff), (4 << 16) | 0xffff, "interval year"),
            (SqlType::Varchar(Some(2)).array_of().unwrap(), 6, "character varying(2)[]"),
            (SqlType::Time(Some(3)).array_of().unwrap(), 3, "time(3) without time zone[]"),
        ];
        for (ty, typmod, name) in cases {
            assert_eq!(ty.typmod(), typmod);
            assert_eq!(ty.base().with_typmod(typmod), ty);
            assert_eq!(ty.name(), name);
        }
        assert_eq!(SqlType::Int4.typmod(), -1);
        assert_eq!(SqlType::Varchar(Some(5)).with_typmod(-1), SqlType::Varchar(None));
    }
}
