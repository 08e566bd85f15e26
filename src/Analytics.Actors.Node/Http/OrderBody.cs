using System.Text.Json;
using System.Text.Json.Nodes;
using Analytics.Actors.Node.Http.Access;
using Microsoft.AspNetCore.Http;

namespace Analytics.Actors.Node.Http;

/// <summary>The body of an order about one thing: what is meant, and who gives it.</summary>
internal static class OrderBody
{
    /// <param name="name">The member that names the thing, such as id.</param>
    /// <returns>What is meant, and by whom, with the name that he has proven.</returns>
    public static async Task<(string What, string By)> ReadAsync(HttpRequest request, string name)
    {
        var form = $$"""{"{{name}}": TEXT, "by": WHO}""";
        try
        {
            var body = await JsonNode.ParseAsync(request.Body, cancellationToken: request.HttpContext.RequestAborted) as JsonObject;
            if (body?[name]?.GetValue<string>() is not { Length: > 0 } what || body["by"]?.GetValue<string>() is not { Length: > 0 and <= 200 } by || by.Any(char.IsControl))
                throw new RequestRefusedException(StatusCodes.Status400BadRequest, $"the body must be {form}, by with 1 to 200 characters of one line");
            return (what, Caller.Of(request.HttpContext).Sign(by));
        }
        catch (Exception wrong) when (wrong is JsonException or InvalidOperationException)
        {
            throw new RequestRefusedException(StatusCodes.Status400BadRequest, $"the body must be {form}: {wrong.Message}");
        }
    }
}
