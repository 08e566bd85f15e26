using System.Text.Json;
using System.Text.Json.Nodes;
using Analytics.Actors.Node.Http.Access;
using Microsoft.AspNetCore.Http;

namespace Analytics.Actors.Node.Http;

/// <summary>Reads the bodies of orders: what is meant, and who gives it.</summary>
internal static class OrderBody
{
    private const int WordsMost = 200;

    /// <summary>Reads a body; one that is no JSON, or has a member of another type, is refused in the same words.</summary>
    /// <param name="must">What would be right, such as "must be {...}".</param>
    /// <param name="read">Gets null where the body is no object; refuses what else is wrong.</param>
    public static async Task<T> ReadAsync<T>(HttpRequest request, string must, Func<JsonObject?, T> read)
    {
        try
        {
            return read(await JsonNode.ParseAsync(request.Body, cancellationToken: request.HttpContext.RequestAborted) as JsonObject);
        }
        catch (Exception wrong) when (wrong is JsonException or InvalidOperationException or FormatException)
        {
            throw Refused($"{must}: {wrong.Message}");
        }
    }

    /// <summary>A member that people write for people.</summary>
    /// <param name="otherwise">Stands for one that is missing or empty.</param>
    public static string Words(JsonObject body, string member, string otherwise)
    {
        var words = body[member]?.GetValue<string>() is { Length: > 0 } given ? given : otherwise;
        return IsLine(words) ? words : throw Refused($"{member}: must be at most {WordsMost} characters of one line");
    }

    public static RequestRefusedException Refused(string message) => new(StatusCodes.Status400BadRequest, message);

    /// <summary>An order about one thing.</summary>
    /// <param name="name">The member that names the thing, such as id.</param>
    /// <returns>What is meant, and by whom, with the name that he has proven.</returns>
    public static Task<(string What, string By)> ReadAsync(HttpRequest request, string name)
    {
        var must = $$"""the body must be {"{{name}}": TEXT, "by": WHO}""";
        return ReadAsync(request, must, body =>
            body?[name]?.GetValue<string>() is { Length: > 0 } what && body["by"]?.GetValue<string>() is { Length: > 0 } by && IsLine(by)
                ? (what, Caller.Of(request.HttpContext).Sign(by))
                : throw Refused($"{must}, by with 1 to {WordsMost} characters of one line"));
    }

    private static bool IsLine(string words) => words.Length <= WordsMost && !words.Any(char.IsControl);
}
