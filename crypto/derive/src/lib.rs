//! `#[derive(Coded)]`. Crates use it through `ashlar_crypto::Coded`, where the trait and its attribute are documented.

use std::fmt::Display;

use proc_macro2::{Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, format_ident, quote};
use syn::parse::ParseStream;
use syn::spanned::Spanned;
use syn::{Attribute, Data, DeriveInput, Error, Field, Fields, LitStr, Meta, Result, Token};

#[cfg(test)]
mod tests;

/// Implements the trait `Coded` for an error; the trait's page says what `#[coded(…)]` takes.
#[proc_macro_derive(Coded, attributes(coded))]
pub fn coded(input: proc_macro::TokenStream) -> proc_macro::TokenStream {
    syn::parse(input)
        .and_then(|input| expand(&input))
        .unwrap_or_else(Error::into_compile_error)
        .into()
}

fn expand(input: &DeriveInput) -> Result<TokenStream> {
    let name = &input.ident;
    let given = Attributes::of(&input.attrs)?;
    let arms = match &input.data {
        Data::Struct(data) => vec![arm(quote!(Self), name, &data.fields, &given, &given)?],
        Data::Enum(_) if given.answers() > 0 => {
            return fail(
                name,
                "codes and `transparent` belong to the variants of an enum",
            );
        }
        Data::Enum(data) => {
            let variants = data.variants.iter().map(|variant| {
                let own = Attributes::of(&variant.attrs)?;
                let name = &variant.ident;
                arm(quote!(Self::#name), name, &variant.fields, &own, &given)
            });
            variants.collect::<Result<_>>()?
        }
        Data::Union(_) => return fail(name, "a union is no error"),
    };
    let (code, blame): (Vec<_>, Vec<_>) = arms.into_iter().unzip();
    let (generics, parameters, bounds) = input.generics.split_for_impl();
    Ok(quote! {
        #[automatically_derived]
        #[allow(non_shorthand_field_patterns, unused_variables)]
        impl #generics ::ashlar_crypto::Coded for #name #parameters #bounds {
            fn code(&self) -> &'static str {
                match self { #(#code)* }
            }

            fn blame(&self) -> ::ashlar_crypto::Blame {
                match self { #(#blame)* }
            }
        }
    })
}

/// What the attributes of a type or of a variant say.
#[derive(Default)]
struct Attributes {
    prefix: Option<LitStr>,
    name: Option<LitStr>,
    code: Option<TokenStream>,
    blame: Option<TokenStream>,
    transparent: Option<()>,
    /// `#[error(transparent)]`: it shows its source's message, so it has its source's code, unless it names one.
    shows_source: bool,
}

impl Attributes {
    fn of(attributes: &[Attribute]) -> Result<Self> {
        let mut given = Self::default();
        for attribute in attributes {
            if attribute.path().is_ident("coded") {
                attribute.parse_args_with(|input: ParseStream<'_>| given.read(input))?;
                if given.answers() > 1 {
                    let message = "a name, `code = …` and `transparent` exclude each other";
                    return fail(attribute, message);
                }
            } else if let Meta::List(list) = &attribute.meta {
                given.shows_source |=
                    list.path.is_ident("error") && list.tokens.to_string() == "transparent";
            }
        }
        Ok(given)
    }

    fn read(&mut self, input: ParseStream<'_>) -> Result<()> {
        while !input.is_empty() {
            let span = input.span();
            if input.peek(LitStr) {
                set(&mut self.name, input.parse()?, span)?;
            } else {
                let key: Ident = input.parse()?;
                match key.to_string().as_str() {
                    "transparent" => set(&mut self.transparent, (), span)?,
                    "prefix" => set(&mut self.prefix, syn::parse2(value(input)?)?, span)?,
                    "code" => set(&mut self.code, value(input)?, span)?,
                    "blame" => set(&mut self.blame, party(value(input)?)?, span)?,
                    _ => {
                        let keys = "`prefix = \"area\"`, `code = expression`, `blame = Caller`";
                        let message = format!("expected \"name\", {keys} or `transparent`");
                        return fail(key, message);
                    }
                }
            }
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        Ok(())
    }

    /// In how many ways the code is given.
    fn answers(&self) -> usize {
        [
            self.name.is_some(),
            self.code.is_some(),
            self.transparent.is_some(),
        ]
        .into_iter()
        .filter(|given| *given)
        .count()
    }
}

fn set<T>(place: &mut Option<T>, value: T, span: Span) -> Result<()> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(Error::new(span, "this is said twice: leave one out")),
    }
}

/// What stands behind `=`, up to the next comma; the compiler judges it where it lands.
fn value(input: ParseStream<'_>) -> Result<TokenStream> {
    input.parse::<Token![=]>()?;
    let mut tokens = TokenStream::new();
    while !input.is_empty() && !input.peek(Token![,]) {
        input.parse::<TokenTree>()?.to_tokens(&mut tokens);
    }
    if tokens.is_empty() {
        return Err(input.error("a value is missing after `=`"));
    }
    Ok(tokens)
}

/// Who has to act: by name, or an expression that answers it.
fn party(value: TokenStream) -> Result<TokenStream> {
    match syn::parse2::<Ident>(value.clone()) {
        Err(_) => Ok(value),
        Ok(name) if ["Caller", "Peer", "Us"].iter().any(|known| name == known) => {
            Ok(quote!(::ashlar_crypto::Blame::#name))
        }
        Ok(name) => fail(
            name,
            "write `Caller`, `Peer`, `Us`, or an expression such as `*field`",
        ),
    }
}

/// One arm of `code` and one of `blame`, for a variant or for a whole struct.
fn arm(
    path: TokenStream,
    name: &Ident,
    fields: &Fields,
    own: &Attributes,
    outer: &Attributes,
) -> Result<(TokenStream, TokenStream)> {
    let bound: Vec<Ident> = fields.iter().enumerate().map(binding).collect();
    let source = if own.transparent.is_some() || (own.shows_source && own.answers() == 0) {
        let Some(field) = source(fields, &bound) else {
            return fail(name, "transparent to which field? Mark one with #[source]");
        };
        let code = quote!(::ashlar_crypto::Coded::code(#field));
        Some((code, quote!(::ashlar_crypto::Coded::blame(#field))))
    } else {
        None
    };
    let code = match (&own.code, &own.name, &source) {
        (Some(code), ..) => code.clone(),
        (_, Some(name), _) => whole(&name.value(), name.span(), own, outer)?,
        (_, _, Some((code, _))) => code.clone(),
        _ => whole(&snake_case(&name.to_string()), name.span(), own, outer)?,
    };
    let source_blame = source.as_ref().map(|(_, blame)| blame);
    let Some(blame) = own.blame.as_ref().or(source_blame).or(outer.blame.as_ref()) else {
        return fail(
            name,
            "who has to act? Write #[coded(blame = Caller)], `Peer` or `Us`",
        );
    };
    let members = fields.members();
    let pattern = quote!(#path { #(#members: #bound,)* });
    Ok((quote!(#pattern => #code,), quote!(#pattern => #blame,)))
}

/// The name under which expressions see a field: its own, or `_0`, `_1`.
fn binding((index, field): (usize, &Field)) -> Ident {
    let own = field.ident.clone();
    own.unwrap_or_else(|| format_ident!("_{index}", span = field.ty.span()))
}

/// The only field, or the one that is the source as `thiserror` understands it.
fn source<'a>(fields: &Fields, bound: &'a [Ident]) -> Option<&'a Ident> {
    let is_source = |(field, name): &(&Field, &Ident)| {
        let mut marks = field.attrs.iter().map(Attribute::path);
        fields.len() == 1
            || *name == "source"
            || marks.any(|mark| mark.is_ident("source") || mark.is_ident("from"))
    };
    let found = fields.iter().zip(bound).find(is_source);
    found.map(|(_, name)| name)
}

/// The code with its area.
fn whole(name: &str, span: Span, own: &Attributes, outer: &Attributes) -> Result<TokenStream> {
    let code = match own.prefix.as_ref().or(outer.prefix.as_ref()) {
        _ if name.contains('.') => name.to_owned(),
        Some(prefix) => format!("{}.{name}", prefix.value()),
        None => {
            let message =
                format!("no area: write \"area.{name}\", or prefix = \"area\" on the enum");
            return Err(Error::new(span, message));
        }
    };
    let valid = |c: char| matches!(c, 'a'..='z' | '0'..='9' | '_');
    if code
        .split('.')
        .any(|word| word.is_empty() || !word.chars().all(valid))
    {
        let message = format!("`{code}` is not of the form area.lower_case_with_underscores");
        return Err(Error::new(span, message));
    }
    Ok(LitStr::new(&code, span).into_token_stream())
}

fn snake_case(name: &str) -> String {
    let mut snake = String::new();
    for (at, letter) in name.char_indices() {
        if letter.is_ascii_uppercase() && at > 0 {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}

fn fail<T>(at: impl ToTokens, message: impl Display) -> Result<T> {
    Err(Error::new_spanned(at, message))
}
