using System.Text.Json.Nodes;
using Analytics.Actors.Core;
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
    // Until the checkpoint that carries an order out has committed: the owner itself waits 10 s.
    public static readonly TimeSpan OrderLimit = TimeSpan.FromSeconds(30);

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

    /// <summary>
    /// Has an order about a shard carried out where that runs: here, or by its owner, who gets the body with the name of who
    /// gave the order. The order's right must be to steer: then its body can be read twice.
    /// </summary>
    public async Task<IResult> AtOwnerAsync(HttpRequest request, ShardId shard, Func<Task<IResult>> own)
    {
        if (IsForNode(request) || await NodeApi.AskAsync(node, core => core.Find(shard) is not null).ConfigureAwait(false)) return await own().ConfigureAwait(false);
        var owner = (await NodeApi.Answered(node, () => node.OwnerAsync(shard)).ConfigureAwait(false)).Name;
        if (owner == node.Options.NodeId || owner.Length == 0) return await own().ConfigureAwait(false);
        request.Body.Position = 0;
        var body = await JsonNode.ParseAsync(request.Body).ConfigureAwait(false);
        if (body is JsonObject order) order["by"] = Caller.Of(request.HttpContext).Sign(order["by"]?.ToString() ?? "");
        // An order that has begun is carried out, whether or not somebody still waits for the answer.
        if (await peers.SendAsync(owner, HttpMethod.Post, PathOf(request), body, OrderLimit, CancellationToken.None).ConfigureAwait(false) is { } answer)
            return JsonResponses.Json(answer.Body, answer.Status);
        TellUnreachable(request.HttpContext, [owner]);
        return JsonResponses.Error(StatusCodes.Status503ServiceUnavailable, $"shard {shard} is owned by {owner}, which does not answer; look again, and repeat the order when another node has taken the shard over");
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
