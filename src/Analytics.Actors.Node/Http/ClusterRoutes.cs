using System.Text.Json.Nodes;
using Analytics.Actors.Node.Configuration;
using Analytics.Actors.Node.Hosting;
using Analytics.Actors.Node.Http.Access;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;

namespace Analytics.Actors.Node.Http;

/// <summary>
/// Routes that answer for the whole cluster: the node asks itself, asks the others, and puts the answers together. With
/// <c>scope=node</c> it answers for itself alone. Who did not answer stands in the header <c>aa-unreachable</c>.
/// </summary>
internal sealed class ClusterRoutes(IEndpointRouteBuilder routes, NodeHost node, NodePeers peers)
{
    public const string UnreachableHeader = "aa-unreachable";

    /// <summary>Maps a GET.</summary>
    /// <param name="own">What this node says.</param>
    /// <param name="merge">Makes one answer of all; it gets the answers as its own.</param>
    public void Get(string path, Func<HttpRequest, Task<JsonNode>> own, Func<Picture, HttpRequest, Task<JsonNode>> merge) =>
        routes.MapGet(path, async (HttpContext context) =>
        {
            var answer = await own(context.Request).ConfigureAwait(false);
            if (IsForNode(context.Request)) return JsonResponses.Json(ClusterMerge.Name(node.Options.NodeId, answer));
            return JsonResponses.Json(await merge(await LookAsync(context, answer).ConfigureAwait(false), context.Request).ConfigureAwait(false));
        }).Needs(Right.Read);

    /// <summary>The same where nothing has to be waited for to put the answers together.</summary>
    public void Get(string path, Func<HttpRequest, Task<JsonNode>> own, Func<Picture, HttpRequest, JsonNode> merge) =>
        Get(path, own, (picture, request) => Task.FromResult(merge(picture, request)));

    /// <summary>Asks the others what this node was asked, and names those that did not answer.</summary>
    public async Task<Picture> LookAsync(HttpContext context, JsonNode own)
    {
        var (answers, silent) = await peers.AskAllAsync(PathOf(context.Request), answer => answer.Status == StatusCodes.Status200OK, context.RequestAborted).ConfigureAwait(false);
        TellUnreachable(context, silent.Select(row => row.Entry.Node));
        return new Picture([new NodeAnswer(node.Options.NodeId, StatusCodes.Status200OK, own), .. answers], silent);
    }

    private static string PathOf(HttpRequest request) =>
        request.Path.ToUriComponent() + QueryString.Create(request.Query.Where(member => member.Key != "scope")).ToUriComponent();

    public static void TellUnreachable(HttpContext context, IEnumerable<string> nodes)
    {
        if (nodes.ToList() is { Count: > 0 } silent) context.Response.Headers[UnreachableHeader] = string.Join(',', silent);
    }

    /// <summary>The request is for this node alone.</summary>
    public static bool IsForNode(HttpRequest request) => request.Query["scope"].ToString() switch
    {
        "" or "cluster" => false,
        "node" => true,
        var other => throw new RequestRefusedException(StatusCodes.Status400BadRequest, $"scope: value \"{other}\": must be node or cluster"),
    };
}
