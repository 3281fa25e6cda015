//! Scenarios in a few words, derived from their data, for the columns of the demo's table.

use std::fmt;

use super::{
    Alias, Association, Certificate, Destination, Fault, Issuer, Lists, Misbehaviour, Names, Place,
    Presents, Publishes, Route, Served, Signing, Starttls, Sts, StsMode, Subject, TlsaRecord,
    Validity,
};

impl fmt::Display for Publishes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match (self.route, self.zone) {
            (Route::Literal, _) => return f.write_str("(address literal)"),
            (Route::SignedHost, Signing::Unsigned) => "unsigned, MX host signed",
            (_, Signing::Signed) => "signed",
            (_, Signing::Unsigned) => "unsigned",
        })?;
        match self.route {
            Route::Null => f.write_str(", null MX")?,
            Route::Implicit => f.write_str(", no MX")?,
            Route::OwnHost | Route::SignedHost | Route::Literal => {}
        }
        f.write_str(match self.alias {
            None => "",
            Some(Alias::Host) => ", MX host is an alias",
            Some(Alias::Tlsa) => ", TLSA is an alias",
        })?;
        for record in self.tlsa {
            write!(f, ", {record}")?;
        }
        if let Some(sts) = self.sts {
            write!(f, ", {sts}")?;
        }
        for fault in self.faults {
            write!(f, ", {fault}")?;
        }
        Ok(())
    }
}

impl fmt::Display for TlsaRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Association {
            usage,
            selector,
            matching,
        } = self.association;
        write!(f, "TLSA {usage} {selector} {matching}")?;
        match self.of {
            Subject::Presented => Ok(()),
            Subject::Another => f.write_str(" of another key"),
        }
    }
}

impl fmt::Display for Sts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.mode {
            StsMode::Enforce => "STS enforce",
            StsMode::Testing => "STS testing",
            StsMode::None => "STS none",
        })?;
        f.write_str(match self.lists {
            Lists::Host => "",
            Lists::Others => " for other hosts",
        })?;
        f.write_str(match self.served {
            Served::Well => "",
            Served::Untrusted => ", policy host untrusted",
            Served::NotFound => ", policy 404",
            Served::Malformed => ", policy malformed",
        })
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.at {
            Place::Mx => "MX ",
            Place::Address => "A ",
            Place::Tlsa => "TLSA ",
        })?;
        f.write_str(match self.how {
            Misbehaviour::BogusSignature => "bogus",
            Misbehaviour::ExpiredSignature => "signature expired",
            Misbehaviour::StrippedSignature => "signature stripped",
            Misbehaviour::Servfail => "SERVFAIL",
            Misbehaviour::Hidden => "denied without proof",
        })
    }
}

impl fmt::Display for Presents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.destination {
            Destination::MxHost => "",
            Destination::Unlisted => "unlisted address: ",
            Destination::Stranger => "a stranger: ",
        })?;
        match self.starttls {
            Starttls::Absent => f.write_str("no STARTTLS")?,
            Starttls::Refused(reply) => {
                let code = reply.split(' ').next().unwrap_or_default();
                write!(f, "STARTTLS answered {code}")?;
            }
            Starttls::Injected => f.write_str("plaintext injected behind 220")?,
            Starttls::Scripted(_) => f.write_str("a script of its own")?,
            Starttls::Offered => write!(f, "{}", self.certificate)?,
        }
        if !self.rcpt.starts_with('2') {
            write!(f, ", RCPT {}", self.rcpt.get(..3).unwrap_or_default())?;
        }
        Ok(())
    }
}

impl fmt::Display for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.issuer {
            Issuer::Public => "public CA",
            Issuer::Private => "private CA",
            Issuer::SelfSigned => "self-signed",
        })?;
        f.write_str(match self.names {
            Names::Host => "",
            Names::Domain => ", domain's name",
            Names::Other => ", wrong name",
        })?;
        f.write_str(match self.validity {
            Validity::Current => "",
            Validity::Expired => ", expired",
        })
    }
}
