using Analytics.Actors.Core.Checkpoints;
using Analytics.Actors.Core.Pipeline;
using Analytics.Actors.Storage;

namespace Analytics.Actors.Node.Configuration;

/// <summary>The database that holds what must survive: SQLite on one machine, PostgreSQL for a cluster. One of the two is set.</summary>
public sealed record StoreOptions
{
    /// <summary>File of a SQLite database, relative to the current directory; null for PostgreSQL.</summary>
    public string? Path { get; init; }

    /// <summary>postgres://user:password@host:port/database, or a connection string with Host=...; null for SQLite.</summary>
    public string? Url { get; init; }

    /// <summary>The store that these options name, not opened yet.</summary>
    public ICheckpointStore Connect() => Path is not null ? new SqliteCheckpointStore(Path) : new PostgreSqlCheckpointStore(PostgreSqlAddress.Parse(Url!));

    private const string UrlForm = "sqlite:FILE, postgres://USER:PASSWORD@HOST:PORT/DATABASE (special characters percent-encoded), or a connection string with Host=...";
    private static readonly string[] SqlitePrefixes = ["sqlite:///", "sqlite://", "sqlite:"];

    internal static StoreOptions Read(ConfigurationObject section)
    {
        var path = section.Find("path");
        var url = section.Find("url");
        section.Close();
        if (path is not null && url is not null)
        {
            // A database given from outside takes the place of the one in the file, whichever kind each of them is.
            if (Rank(path) == Rank(url)) url.Refuse("must not stand beside \"store.path\"; remove one of them");
            else if (Rank(path) > Rank(url)) url = null;
            else path = null;
        }

        if (path?.Text("the path of a SQLite file", lengthMax: 4096) is { } file) return new StoreOptions { Path = file };
        if (url?.Text(UrlForm, lengthMax: 4096) is { } text) return ReadUrl(url, text);
        if (path is null && url is null) section.Missing("path", "must be the path of a SQLite file (or set \"store.url\" or DATABASE_URL for PostgreSQL)");
        return new StoreOptions();
    }

    internal IEnumerable<(string Path, string Value)> Describe() =>
        Path is not null ? [("store.path", Path)] : [("store.url", DescribeUrl(Url ?? ""))];

    private static StoreOptions ReadUrl(ConfigurationValue value, string text)
    {
        foreach (var prefix in SqlitePrefixes)
        {
            if (text.StartsWith(prefix, StringComparison.OrdinalIgnoreCase) && text.Length > prefix.Length)
            {
                // As SQLAlchemy writes it: three slashes and a relative path, four and an absolute one.
                return new StoreOptions { Path = text[prefix.Length..] };
            }
        }

        try
        {
            _ = PostgreSqlAddress.Parse(text);
            return new StoreOptions { Url = text };
        }
        catch (FormatException wrong)
        {
            value.Refuse($"{wrong.Message}; it must be {UrlForm}");
            return new StoreOptions();
        }
    }

    private static bool IsPostgresUrl(string text) =>
        Uri.TryCreate(text, UriKind.Absolute, out var uri) && uri.Scheme is "postgres" or "postgresql";

    private static bool IsConnectionString(string text)
    {
        try
        {
            var parts = new System.Data.Common.DbConnectionStringBuilder { ConnectionString = text };
            return parts.ContainsKey("host") || parts.ContainsKey("server");
        }
        catch (ArgumentException)
        {
            return false;
        }
    }

    // Only what is known to be harmless is shown: a secret may stand under any other name.
    private static string DescribeUrl(string text)
    {
        if (IsPostgresUrl(text))
        {
            var uri = new Uri(text);
            var user = uri.UserInfo.Split(':')[0];
            var credentials = uri.UserInfo.Length == 0 ? "" : uri.UserInfo.Contains(':') ? $"{user}:{Secrets.Masked}@" : $"{user}@";
            var port = uri.Port > 0 ? $":{uri.Port}" : "";
            return $"{uri.Scheme}://{credentials}{uri.Host}{port}{uri.AbsolutePath}{(uri.Query.Length > 0 ? $"?{Secrets.Masked}" : "")}";
        }

        if (!IsConnectionString(text)) return text.Length == 0 ? "" : Secrets.Masked;
        string[] harmless = ["host", "server", "port", "database", "username", "user id", "user name", "ssl mode", "sslmode", "search path"];
        var parts = new System.Data.Common.DbConnectionStringBuilder { ConnectionString = text };
        return string.Join(';', parts.Keys.Cast<string>().Select(key => $"{key}={(harmless.Contains(key) ? parts[key] : Secrets.Masked)}"));
    }

    private static int Rank(ConfigurationValue value) =>
        value.Override is null ? 0 : value.Override.Origin.StartsWith(NodeConfiguration.SettingPrefix, StringComparison.Ordinal) ? 2 : 1;
}
