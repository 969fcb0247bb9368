//! Rows of a query over all of its pages.

use std::collections::VecDeque;

use bytes::Bytes;
use quorate_model::request::ColumnSpec;

use crate::error::Error;
use crate::options::Options;
use crate::row::{FromRow, QueryResult, Row};
use crate::session::Session;
use crate::statement::Prepared;
use crate::values::Binds;

/// What to ask again for each page.
#[derive(Clone, Debug)]
pub(crate) enum Paged {
    Text(String, Binds),
    Prepared(Prepared, Binds),
}

/// The rows of a query; pages are fetched as they are needed. Dropping it ends the query.
///
/// ```no_run
/// # async fn example(session: quorate_client::Session) -> Result<(), quorate_client::Error> {
/// let mut rows = session.query_iter("SELECT origin, temp FROM nyc.weather", ()).await?;
/// while let Some((origin, temp)) = rows.next_as::<(String, Option<f64>)>().await? {
///     println!("{origin}: {temp:?}");
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct RowStream {
    session: Session,
    paged: Paged,
    options: Options,
    columns: Vec<ColumnSpec>,
    rows: VecDeque<Row>,
    next_page: Option<Bytes>,
}

impl RowStream {
    pub(crate) async fn open(session: Session, paged: Paged, options: Options) -> Result<Self, Error> {
        let mut stream = Self { session, paged, options, columns: Vec::new(), rows: VecDeque::new(), next_page: None };
        let first = stream.fetch().await?;
        stream.columns = first.columns().to_vec();
        stream.take(&first)?;
        Ok(stream)
    }

    async fn fetch(&self) -> Result<QueryResult, Error> {
        match &self.paged {
            Paged::Text(text, binds) => self.session.query_with(text, binds, &self.options).await,
            Paged::Prepared(prepared, binds) => self.session.execute_with(prepared, binds, &self.options).await,
        }
    }

    fn take(&mut self, page: &QueryResult) -> Result<(), Error> {
        self.rows.extend(page.rows()?);
        self.next_page = page.paging_state().cloned();
        Ok(())
    }

    /// The result's columns.
    pub fn columns(&self) -> &[ColumnSpec] {
        &self.columns
    }

    /// The next row; `None` after the last. After an error the same page can be asked for again.
    pub async fn next(&mut self) -> Result<Option<Row>, Error> {
        loop {
            if let Some(row) = self.rows.pop_front() {
                return Ok(Some(row));
            }
            let Some(state) = self.next_page.clone() else { return Ok(None) };
            self.options = self.options.clone().paging_state(Some(state));
            let page = self.fetch().await?;
            self.take(&page)?;
        }
    }

    /// The next row as a Rust type, e.g. a tuple.
    pub async fn next_as<T: FromRow>(&mut self) -> Result<Option<T>, Error> {
        match self.next().await? {
            Some(row) => Ok(Some(T::from_row(row)?)),
            None => Ok(None),
        }
    }

    /// All rows that are left.
    pub async fn collect(mut self) -> Result<Vec<Row>, Error> {
        let mut all = Vec::new();
        while let Some(row) = self.next().await? {
            all.push(row);
        }
        Ok(all)
    }
}
