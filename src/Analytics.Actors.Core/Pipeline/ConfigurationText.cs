using System.Text;
using System.Text.Json;
using System.Text.Unicode;

namespace Analytics.Actors.Core.Pipeline;

/// <summary>
/// Turns a configuration file's bytes into JSON: comments and trailing commas are welcome, everything else must be strict.
/// What it lets pass can be read without exceptions: all text is valid.
/// </summary>
public static class ConfigurationText
{
    private const int DepthMax = 64;

    /// <summary>The file's JSON; null (and a problem) where the bytes are none.</summary>
    public static JsonDocument? Parse(ReadOnlyMemory<byte> utf8, ConfigurationProblems problems)
    {
        if (utf8.Span.StartsWith("\uFEFF"u8)) utf8 = utf8[3..];
        if (!Utf8.IsValid(utf8.Span))
        {
            problems.Add("(file)", "", "must be text in UTF-8");
            return null;
        }

        try
        {
            if (!TextsAreValid(utf8.Span, problems)) return null;
            return JsonDocument.Parse(utf8, new JsonDocumentOptions
            {
                CommentHandling = JsonCommentHandling.Skip, AllowTrailingCommas = true, MaxDepth = DepthMax,
            });
        }
        catch (JsonException exception)
        {
            var line = (int)(exception.LineNumber ?? 0);
            var column = (int)(exception.BytePositionInLine ?? 0) + 1;
            var shown = problems.Mask is null ? LineOf(utf8.Span, line).Trim() : "";
            problems.Add($"line {line + 1}, column {column}", shown, $"must be JSON (// comments are allowed): {Reason(exception)}");
            return null;
        }
    }

    // An escape such as \ud800 alone is well-formed JSON and yet no text; reading it later would throw.
    private static bool TextsAreValid(ReadOnlySpan<byte> utf8, ConfigurationProblems problems)
    {
        var reader = new Utf8JsonReader(utf8, new JsonReaderOptions
        {
            CommentHandling = JsonCommentHandling.Skip, AllowTrailingCommas = true, MaxDepth = DepthMax,
        });
        while (reader.Read())
        {
            if (reader.TokenType is not (JsonTokenType.String or JsonTokenType.PropertyName) || !reader.ValueIsEscaped) continue;
            try
            {
                reader.GetString();
            }
            catch (InvalidOperationException)
            {
                var line = utf8[..(int)reader.TokenStartIndex].Count((byte)'\n');
                var shown = problems.Mask is null ? LineOf(utf8, line).Trim() : "";
                problems.Add($"line {line + 1}", shown, "must be valid text: an escaped half of a surrogate pair stands alone");
                return false;
            }
        }

        return true;
    }

    private static string LineOf(ReadOnlySpan<byte> utf8, int line)
    {
        for (; line > 0; line--)
        {
            var end = utf8.IndexOf((byte)'\n');
            if (end < 0) return "";
            utf8 = utf8[(end + 1)..];
        }

        var length = utf8.IndexOf((byte)'\n');
        return Encoding.UTF8.GetString(length < 0 ? utf8 : utf8[..length]);
    }

    // The place is in the problem's path already.
    private static string Reason(JsonException exception)
    {
        var message = exception.Message;
        var place = message.IndexOf(" LineNumber:", StringComparison.Ordinal);
        return place < 0 ? message : message[..place];
    }
}
