//! What a client is called in the list of sessions: what it says of itself, else what its
//! user agent gives away.

/// A client that signs in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Device {
    /// As it was sent.
    pub user_agent: Option<String>,
    /// Where it calls from.
    pub ip_address: Option<String>,
    /// `Firefox`
    pub browser_name: Option<String>,
    /// `128.0`
    pub browser_version: Option<String>,
    /// `iPhone`, `Unknown`
    pub device_name: Option<String>,
    /// `Generic Linux`, or the model of a telephone.
    pub platform_name: Option<String>,
    /// `17.5`
    pub platform_version: Option<String>,
}

/// What an app says of itself in `X-Chatwoot-…` headers.
#[derive(Debug, Clone, Default)]
pub struct AppHeaders {
    /// `…-Client-Name`
    pub client_name: Option<String>,
    /// `…-Client-Version`
    pub client_version: Option<String>,
    /// `…-Platform`: `ios` or `android`
    pub platform: Option<String>,
    /// `…-Platform-Version`
    pub platform_version: Option<String>,
    /// `…-Device-Model`
    pub device_model: Option<String>,
}

/// The longest text that is kept of what a client says.
const LONGEST: usize = 255;

fn short(text: &str) -> Option<String> {
    let text: String = text.chars().filter(|c| !c.is_control()).take(LONGEST).collect();
    (!text.is_empty()).then_some(text)
}

impl Device {
    /// From what a client sent.
    pub fn of(user_agent: Option<&str>, address: Option<String>, app: &AppHeaders) -> Self {
        let agent = user_agent.unwrap_or_default();
        let mut device = if app.client_name.is_some() {
            Self::of_app(app)
        } else if agent.starts_with("okhttp/") {
            Self::of_old_app("Android")
        } else if agent.contains("CFNetwork/") && agent.contains("Darwin/") {
            Self::of_old_app("iPhone")
        } else {
            Self::of_browser(agent)
        };
        device.user_agent = short(agent);
        device.ip_address = address;
        device
    }

    fn of_app(app: &AppHeaders) -> Self {
        let clean = |text: &Option<String>| text.as_deref().and_then(short);
        let model = clean(&app.device_model);
        let device = match app.platform.as_deref().map(str::to_ascii_lowercase).as_deref() {
            Some("ios") if model.as_deref().is_some_and(|m| m.contains("iPad")) => "iPad",
            Some("ios") => "iPhone",
            Some("android") => "Android",
            _ => "Unknown",
        };
        Self {
            browser_name: clean(&app.client_name),
            browser_version: clean(&app.client_version),
            device_name: Some(device.to_owned()),
            platform_name: model.or_else(|| clean(&app.platform)),
            platform_version: clean(&app.platform_version),
            ..Self::default()
        }
    }

    /// The mobile app before it said what it is.
    fn of_old_app(device: &str) -> Self {
        let platform = if device == "iPhone" { "iOS" } else { device };
        Self {
            browser_name: Some("Chatwoot Mobile".to_owned()),
            device_name: Some(device.to_owned()),
            platform_name: Some(platform.to_owned()),
            ..Self::default()
        }
    }

    fn of_browser(agent: &str) -> Self {
        // More telling names come first: Edge and Opera call themselves Chrome, Chrome calls itself Safari.
        const BROWSERS: &[(&str, &str)] = &[
            ("Edg/", "Microsoft Edge"),
            ("EdgA/", "Microsoft Edge"),
            ("EdgiOS/", "Microsoft Edge"),
            ("Edge/", "Microsoft Edge"),
            ("OPR/", "Opera"),
            ("SamsungBrowser/", "Samsung Browser"),
            ("YaBrowser/", "Yandex"),
            ("FxiOS/", "Firefox"),
            ("Firefox/", "Firefox"),
            ("CriOS/", "Chrome"),
            ("HeadlessChrome/", "Chrome"),
            ("Chrome/", "Chrome"),
            ("MSIE ", "Internet Explorer"),
        ];
        let known = BROWSERS.iter().find_map(|(mark, name)| Some((*name, after(agent, mark)?)));
        let safari =
            || Some(("Safari", after(agent, "Version/")?)).filter(|_| agent.contains("Safari/"));
        let (name, version) = known.or_else(safari).unwrap_or(("Unknown Browser", "0.0"));
        let (platform, platform_version) = platform(agent);
        let device = ["iPad", "iPhone", "iPod Touch"]
            .into_iter()
            .find(|device| agent.contains(&format!("({device}")))
            .unwrap_or("Unknown");
        Self {
            browser_name: Some(name.to_owned()),
            browser_version: short(version),
            device_name: Some(device.to_owned()),
            platform_name: Some(platform.to_owned()),
            platform_version: short(&platform_version),
            ..Self::default()
        }
    }
}

/// The number after `mark`: digits, points and underscores.
fn after<'a>(agent: &'a str, mark: &str) -> Option<&'a str> {
    let (_, rest) = agent.split_once(mark)?;
    let end =
        rest.find(|c: char| !c.is_ascii_digit() && c != '.' && c != '_').unwrap_or(rest.len());
    rest.get(..end).filter(|number| !number.is_empty())
}

/// The system, and its version.
fn platform(agent: &str) -> (&'static str, String) {
    let version = |mark: &str| after(agent, mark).unwrap_or("0").replace('_', ".");
    if agent.contains("(iPad") {
        ("iOS (iPad)", version(" OS "))
    } else if agent.contains("(iPhone") {
        ("iOS (iPhone)", version(" OS "))
    } else if agent.contains("Android") {
        ("Android", version("Android "))
    } else if agent.contains("CrOS") {
        ("Chrome OS", version("CrOS x86_64 "))
    } else if agent.contains("Windows") {
        ("Windows", version("Windows NT "))
    } else if agent.contains("Macintosh") {
        ("macOS", version("Mac OS X "))
    } else if agent.contains("Linux") {
        ("Generic Linux", "0".to_owned())
    } else {
        ("Unknown", "0".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_browsers_and_apps() {
        let check = |agent: &str, expected: [&str; 5]| {
            let device = Device::of(Some(agent), None, &AppHeaders::default());
            let text = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
            let found = [
                text(device.browser_name),
                text(device.browser_version),
                text(device.device_name),
                text(device.platform_name),
                text(device.platform_version),
            ];
            assert_eq!(found, expected, "{agent}");
        };
        check(
            "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
            ["Firefox", "128.0", "Unknown", "Generic Linux", "0"],
        );
        check(
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36 Edg/126.0.2592.56",
            ["Microsoft Edge", "126.0.2592.56", "Unknown", "Windows", "10.0"],
        );
        check(
            "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Safari/605.1.15",
            ["Safari", "17.5", "Unknown", "macOS", "10.15.7"],
        );
        check(
            "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/126.0 Mobile/15E148 Safari/604.1",
            ["Chrome", "126.0", "iPhone", "iOS (iPhone)", "17.5"],
        );
        check(
            "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Mobile Safari/537.36",
            ["Chrome", "126.0.0.0", "Unknown", "Android", "14"],
        );
        check("okhttp/4.9.2", ["Chatwoot Mobile", "-", "Android", "Android", "-"]);
        check(
            "Chatwoot/1 CFNetwork/1494.0.7 Darwin/23.4.0",
            ["Chatwoot Mobile", "-", "iPhone", "iOS", "-"],
        );
        check("curl/8.5.0", ["Unknown Browser", "0.0", "Unknown", "Unknown", "0"]);
        check("", ["Unknown Browser", "0.0", "Unknown", "Unknown", "0"]);
    }

    #[test]
    fn believes_what_an_app_says_of_itself() {
        let headers = AppHeaders {
            client_name: Some("Chatwoot".to_owned()),
            client_version: Some("4.2.0".to_owned()),
            platform: Some("ios".to_owned()),
            platform_version: Some("17.5".to_owned()),
            device_model: Some("iPad Pro".to_owned()),
        };
        let device = Device::of(Some("okhttp/4.9.2"), Some("192.0.2.1".to_owned()), &headers);
        assert_eq!(device.device_name.as_deref(), Some("iPad"));
        assert_eq!(device.platform_name.as_deref(), Some("iPad Pro"));
        assert_eq!(device.platform_version.as_deref(), Some("17.5"));
        assert_eq!(device.ip_address.as_deref(), Some("192.0.2.1"));
        let long = AppHeaders { client_name: Some("x".repeat(999)), ..AppHeaders::default() };
        let device = Device::of(None, None, &long);
        assert_eq!(device.browser_name.map(|name| name.len()), Some(255));
    }
}
