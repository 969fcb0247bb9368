//! User types, and what changes with them: every column that has the type carries its fields.

use std::sync::Arc;

use crate::schema::Keyspace;
use crate::types::CqlType;

/// A user type of a keyspace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserType {
    /// Its keyspace.
    pub keyspace: String,
    /// Its name, case exact.
    pub name: String,
    /// Fields in order, each with its type.
    pub fields: Vec<(String, CqlType)>,
}

impl UserType {
    /// The type of columns that have it.
    pub fn cql_type(&self, frozen: bool) -> CqlType {
        let mut fields = self.fields.clone();
        if frozen {
            fields = fields.into_iter().map(|(name, field)| (name, field.freeze())).collect();
        }
        CqlType::UserDefined { keyspace: self.keyspace.clone(), name: self.name.clone(), fields, frozen }
    }

    /// Whether the type is mentioned in another.
    pub fn is_used_in(&self, cql_type: &CqlType) -> bool {
        cql_type.mentions(&|part| {
            matches!(part, CqlType::UserDefined { keyspace, name, .. } if *keyspace == self.keyspace && *name == self.name)
        })
    }

    /// The type with this user type's present fields wherever it is mentioned.
    #[must_use]
    pub fn renew(&self, cql_type: &CqlType) -> CqlType {
        let renewed = |inner: &CqlType| Box::new(self.renew(inner));
        match cql_type {
            CqlType::UserDefined { keyspace, name, frozen, .. } if *keyspace == self.keyspace && *name == self.name => {
                self.cql_type(*frozen)
            }
            CqlType::UserDefined { keyspace, name, fields, frozen } => CqlType::UserDefined {
                keyspace: keyspace.clone(),
                name: name.clone(),
                fields: fields.iter().map(|(name, field)| (name.clone(), self.renew(field))).collect(),
                frozen: *frozen,
            },
            CqlType::List(element, frozen) => CqlType::List(renewed(element), *frozen),
            CqlType::Set(element, frozen) => CqlType::Set(renewed(element), *frozen),
            CqlType::Map(key, value, frozen) => CqlType::Map(renewed(key), renewed(value), *frozen),
            CqlType::Tuple(fields) => CqlType::Tuple(fields.iter().map(|field| self.renew(field)).collect()),
            CqlType::Vector(element, dimension) => CqlType::Vector(renewed(element), *dimension),
            native => native.clone(),
        }
    }
}

impl Keyspace {
    /// Creates a user type or changes it, and with it the types and columns that mention it.
    pub fn put_type(&mut self, user_type: UserType) {
        for other in self.types.values_mut() {
            if other.fields.iter().any(|(_, field)| user_type.is_used_in(field)) {
                for (_, field) in &mut Arc::make_mut(other).fields {
                    *field = user_type.renew(field);
                }
            }
        }
        for table in self.tables.values_mut() {
            let uses = table.columns.iter().chain(table.dropped.iter().map(|(column, _)| column));
            if uses.into_iter().any(|column| user_type.is_used_in(&column.cql_type)) {
                let table = Arc::make_mut(table);
                for column in table.columns.iter_mut().chain(table.dropped.iter_mut().map(|(column, _)| column)) {
                    column.cql_type = user_type.renew(&column.cql_type);
                }
            }
        }
        self.types.insert(user_type.name.clone(), Arc::new(user_type));
    }
}
