using System.Globalization;
using Npgsql;

namespace Analytics.Actors.Storage;

/// <summary>
/// Where a PostgreSQL database is and how to sign in, read from <c>postgres://user:password@host:port/database?options</c>
/// or from Npgsql's own <c>Host=...;Username=...</c>. It prints without its password.
/// </summary>
public sealed class PostgreSqlAddress
{
    // libpq's names for what Npgsql calls otherwise. Any other option has Npgsql's name, with or without underscores.
    private static readonly Dictionary<string, string> LibpqNames = new(StringComparer.OrdinalIgnoreCase)
    {
        ["connect_timeout"] = "Timeout",
        ["sslcert"] = "SSL Certificate",
        ["sslkey"] = "SSL Key",
        ["sslrootcert"] = "Root Certificate",
        ["dbname"] = "Database",
        ["user"] = "Username",
        ["hostaddr"] = "Host",
    };

    private PostgreSqlAddress(NpgsqlConnectionStringBuilder settings) => Settings = settings;

    internal NpgsqlConnectionStringBuilder Settings { get; }

    /// <summary>Reads an address.</summary>
    /// <exception cref="FormatException">It is wrong; the message says what, and shows nothing that could be a secret.</exception>
    public static PostgreSqlAddress Parse(string text)
    {
        var settings = text.Contains("://", StringComparison.Ordinal) ? FromUrl(text) : FromConnectionString(text);
        if (string.IsNullOrEmpty(settings.Host)) throw new FormatException("it names no host");
        return new PostgreSqlAddress(settings);
    }

    /// <summary>Database and hosts, as messages name them. Without a name it is the one that is called like the user.</summary>
    public override string ToString() => string.Create(
        CultureInfo.InvariantCulture, $"the PostgreSQL database '{Settings.Database ?? Settings.Username}' on {Settings.Host}{(Settings.Host!.Contains(':') || Settings.Host.Contains(',') ? "" : $":{Settings.Port}")}");

    private static NpgsqlConnectionStringBuilder FromUrl(string text)
    {
        if (!Uri.TryCreate(text, UriKind.Absolute, out var url) || url.Scheme is not ("postgres" or "postgresql")) throw new FormatException("it is not a URL that begins with postgres://");
        var settings = new NpgsqlConnectionStringBuilder();
        if (url.Host.Length > 0) settings.Host = Uri.UnescapeDataString(url.IdnHost);
        if (url.Port > 0) settings.Port = url.Port;
        if (url.AbsolutePath.Length > 1) settings.Database = Uri.UnescapeDataString(url.AbsolutePath[1..]);
        if (url.UserInfo.Split(':', 2) is [{ Length: > 0 } user, .. var password])
        {
            settings.Username = Uri.UnescapeDataString(user);
            if (password.Length > 0) settings.Password = Uri.UnescapeDataString(password[0]);
        }

        foreach (var option in url.Query.TrimStart('?').Split('&', StringSplitOptions.RemoveEmptyEntries))
        {
            if (option.Split('=', 2) is not [var name, var value]) throw new FormatException("its options must be NAME=VALUE, joined by &");
            Set(settings, Uri.UnescapeDataString(name), Uri.UnescapeDataString(value));
        }

        return settings;
    }

    private static void Set(NpgsqlConnectionStringBuilder settings, string name, string value)
    {
        var key = LibpqNames.GetValueOrDefault(name) ?? name.Replace("_", "", StringComparison.Ordinal);
        if (!settings.ContainsKey(key)) throw new FormatException("one of its options has a name that neither libpq nor Npgsql knows");
        try
        {
            // libpq writes verify-full and read-write where Npgsql's own values have no hyphen or have one.
            settings[key] = key.Equals("sslmode", StringComparison.OrdinalIgnoreCase) ? value.Replace("-", "", StringComparison.Ordinal) : value;
        }
        catch (Exception wrong) when (wrong is ArgumentException or FormatException or InvalidCastException or OverflowException)
        {
            throw new FormatException($"its option {key} has a value that is not allowed there");
        }
    }

    private static NpgsqlConnectionStringBuilder FromConnectionString(string text)
    {
        try
        {
            return new NpgsqlConnectionStringBuilder(text);
        }
        catch (Exception wrong) when (wrong is ArgumentException or FormatException or InvalidCastException or OverflowException or KeyNotFoundException)
        {
            // The library's message may repeat what it could not read.
            throw new FormatException("it is not a connection string that Npgsql understands (Host=...;Port=...;Database=...;Username=...;Password=...)");
        }
    }
}
