using System.Text.RegularExpressions;

namespace Analytics.Actors.Node.Configuration;

/// <summary>Knows which values are secrets, so that no message, log or printed configuration shows one.</summary>
public static partial class Secrets
{
    /// <summary>What stands in the place of a secret.</summary>
    public const string Masked = "***";

    /// <summary>Whether the value of a key (with or without its sections) is a secret. Misspelt names count too.</summary>
    public static bool IsSecret(string path) => SecretName().IsMatch(path);

    /// <summary>The value as it may be printed: masked where its key is a secret's, else with masked passwords inside.</summary>
    public static string Show(string path, string value) => IsSecret(path) ? Masked : MaskInside(value);

    /// <summary>A text with the passwords of URLs and of <c>key=value</c> lists masked.</summary>
    public static string MaskInside(string text)
    {
        text = UrlPassword().Replace(text, $"$1:{Masked}@");
        return ListedPassword().Replace(text, $"$1={Masked}");
    }

    [GeneratedRegex(@"pass(?!ivat)|pas+w|pwd|secret|token|jaas|credential|oauthbearer\.(config|extensions)|key\.pem|apikey|api\.key", RegexOptions.IgnoreCase)]
    private static partial Regex SecretName();

    // Up to the last @: a password may hold one.
    [GeneratedRegex(@"^(\s*[A-Za-z][A-Za-z0-9+.-]*:/*[^:@/]*):.*@", RegexOptions.Singleline)]
    private static partial Regex UrlPassword();

    [GeneratedRegex(@"(pass\w*|pwd|secret|token)\s*=\s*(""[^""]*""?|'[^']*'?|[^;&]*)", RegexOptions.IgnoreCase)]
    private static partial Regex ListedPassword();
}
