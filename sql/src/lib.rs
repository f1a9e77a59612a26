//! sql: tables. Empty until the layers below it have proved themselves.
