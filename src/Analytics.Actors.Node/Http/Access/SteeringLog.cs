using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Analytics.Actors.Core.Cluster;
using Analytics.Actors.Node.Configuration;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace Analytics.Actors.Node.Http.Access;

/// <summary>
/// Who ordered what, and when: a line of the log before an order is carried out, and an event of the cluster afterwards. The
/// node that was asked writes the event; one that it passes the order on to writes only its own line.
/// </summary>
/// <param name="tell">Keeps an event until the store has it.</param>
internal sealed class SteeringLog(Action<ClusterEvent> tell, string node, ILogger logger)
{
    private const int ShownMost = 500;

    public async Task InvokeAsync(HttpContext context, RequestDelegate next)
    {
        if (Gate.RightFor(context.GetEndpoint()) != Right.Steer)
        {
            await next(context).ConfigureAwait(false);
            return;
        }

        var caller = Caller.Of(context);
        context.Request.EnableBuffering();
        var (by, order) = await ReadAsync(context).ConfigureAwait(false);
        var who = caller.Sign(by);
        if (who.Length == 0) who = "somebody on this machine";
        logger.LogInformation(new EventId(3, "Steered"), "Steered: {Who} orders {Order}{Passed}", who, order, caller.IsPeer ? ", passed on by another node" : "");
        var status = StatusCodes.Status500InternalServerError;
        try
        {
            await next(context).ConfigureAwait(false);
            status = context.Response.StatusCode;
        }
        catch (RequestRefusedException refused)
        {
            status = refused.Status;
            throw;
        }
        finally
        {
            if (!caller.IsPeer) tell(new ClusterEvent("steered", node, null, null, who, $"{order}: {status}"));
        }
    }

    private static async Task<(string By, string Order)> ReadAsync(HttpContext context)
    {
        using var reader = new StreamReader(context.Request.Body, Encoding.UTF8, leaveOpen: true);
        var text = await reader.ReadToEndAsync(context.RequestAborted).ConfigureAwait(false);
        context.Request.Body.Position = 0;
        var by = "";
        try
        {
            if (JsonNode.Parse(text) is JsonObject body)
            {
                if (body["by"] is JsonValue given && given.TryGetValue(out string? name)) by = name;
                body.Remove("by");
                text = body.ToJsonString();
            }
        }
        catch (Exception wrong) when (wrong is JsonException or ArgumentException)
        {
            // Whoever carries it out says what is wrong with it.
        }

        return (OneLine(by, 200), OneLine($"{context.Request.Method} {context.Request.Path}{context.Request.QueryString} {text}", ShownMost));
    }

    private static string OneLine(string text, int most)
    {
        var line = new StringBuilder();
        foreach (var rune in text.EnumerateRunes())
        {
            if (line.Length >= most) return line.Append("...").ToString();
            line.Append(Rune.IsControl(rune) ? "\u00b7" : rune.ToString());
        }

        return line.ToString();
    }
}
