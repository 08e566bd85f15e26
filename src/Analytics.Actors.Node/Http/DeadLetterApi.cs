using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Analytics.Actors.Core;
using Analytics.Actors.Core.Checkpoints;
using Analytics.Actors.Core.Pipeline;
using Analytics.Actors.Node.Configuration;
using Analytics.Actors.Node.Hosting;
using Analytics.Actors.Node.Http.Access;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;

namespace Analytics.Actors.Node.Http;

/// <summary>Dead letters of the whole cluster: shown from the store; orders go to the nodes that own their shards.</summary>
internal static class DeadLetterApi
{
    private const string Root = "/api/v1/dead-letters";
    private const int ListMost = 10_000;
    private const int TextMost = 1_000;

    public static readonly (string Path, string Says)[] Contents =
    [
        (Root, "dead letters of all shards, the newest first; topic, reason, station, since, until, state (open, replayed, discarded, all), after (an id), limit (100)"),
        ($"{Root}/ID", "one dead letter with its bytes"),
        ($"POST {Root}/replay", "sends letters through the normal path again: {\"ids\": [...]} or a filter, and \"by\""),
        ($"POST {Root}/discard", "closes letters without doing anything: the same"),
    ];

    public static void Map(IEndpointRouteBuilder routes, NodeHost node, NodePeers peers)
    {
        routes.MapGet(Root, (HttpRequest request) => AnswerAsync(async () => JsonResponses.Json(await ListAsync(node, request)))).Needs(Right.Read);
        routes.MapGet($"{Root}/{{id}}", (string id, HttpRequest request) => AnswerAsync(() => ShowAsync(node, id, request))).Needs(Right.Read);
        routes.MapPost($"{Root}/replay", (HttpRequest request) => AnswerAsync(async () => JsonResponses.Json(await OrderAsync(node, peers, request, DeadLetterState.Replayed)))).Needs(Right.Steer);
        routes.MapPost($"{Root}/discard", (HttpRequest request) => AnswerAsync(async () => JsonResponses.Json(await OrderAsync(node, peers, request, DeadLetterState.Discarded)))).Needs(Right.Steer);
    }

    private static async Task<IResult> AnswerAsync(Func<Task<IResult>> answer)
    {
        try
        {
            return await answer();
        }
        catch (StoreUnavailableException failure)
        {
            throw new RequestRefusedException(StatusCodes.Status503ServiceUnavailable, $"the database does not answer: {failure.Message}");
        }
        catch (Exception ended) when (ended is TaskCanceledException or ObjectDisposedException)
        {
            throw new RequestRefusedException(StatusCodes.Status503ServiceUnavailable, "the node has stopped");
        }
    }

    private static async Task<JsonNode> ListAsync(NodeHost node, HttpRequest request)
    {
        var limit = JsonResponses.Limit(request, 100, ListMost);
        var filter = Filter(name => request.Query.TryGetValue(name, out var value) ? value.ToString() : null);
        DeadLetterId? after = null;
        if (request.Query.TryGetValue("after", out var given)) after = Id(given.ToString(), "after");
        var letters = await Desk(node).ListAsync(filter, after, limit, request.HttpContext.RequestAborted);
        return new JsonArray([.. letters.Select(letter => (JsonNode)View(letter))]);
    }

    private static async Task<IResult> ShowAsync(NodeHost node, string text, HttpRequest request)
    {
        var id = Id(text, "id");
        var desk = Desk(node);
        if (await desk.FindAsync(id, request.HttpContext.RequestAborted) is not { } letter)
            return JsonResponses.Error(StatusCodes.Status404NotFound, $"there is no dead letter {id} (any more)");
        var view = View(letter);
        view["record_timestamp"] = letter.Letter.RecordTimestampMs;
        view["crc32c"] = letter.Letter.Checksum;
        view["kept"] = letter.Letter.Bytes.Length;
        view["bytes"] = Convert.ToBase64String(letter.Letter.Bytes.Span);
        view["not_replayable"] = desk.WhyNotReplayed(letter.Letter);
        return JsonResponses.Json(view);
    }

    private static async Task<JsonNode> OrderAsync(NodeHost node, NodePeers peers, HttpRequest request, DeadLetterState state)
    {
        JsonObject body;
        try
        {
            body = await JsonNode.ParseAsync(request.Body, cancellationToken: request.HttpContext.RequestAborted) as JsonObject ?? throw new JsonException("an object is expected");
        }
        catch (JsonException wrong)
        {
            throw Wrong($"the body is not JSON as expected: {wrong.Message}");
        }

        string[] known = ["ids", "by", "limit", "all", "topic", "reason", "station", "since", "until"];
        if (body.Select(member => member.Key).FirstOrDefault(name => !known.Contains(name)) is { } unknown) throw Wrong($"{unknown}: unknown member; known are {string.Join(", ", known)}");
        var by = Text(body, "by") ?? throw Wrong("by: say who orders it");
        if (by.Length == 0 || by.Length > 200 || by.Any(c => char.IsControl(c) || char.IsSurrogate(c))) throw Wrong("by: must be 1 to 200 characters, no control characters");
        var filter = Filter(name => name == "state" ? "open" : Text(body, name));
        IReadOnlyList<DeadLetterId>? ids = null;
        var limit = 1_000;
        if (body["ids"] is { } given)
        {
            if (given is not JsonArray { Count: > 0 and <= 1_000 } list) throw Wrong("ids: must be a list of 1 to 1000 ids, such as [\"3-17\"]");
            if (filter != new DeadLetterFilter(State: DeadLetterState.Open)) throw Wrong("ids: name letters, or give a filter, not both");
            ids = list.Select(id => Id(id is JsonValue value && value.TryGetValue(out string? text) ? text : id?.ToJsonString() ?? "null", "ids")).ToList();
        }
        else if (filter == new DeadLetterFilter(State: DeadLetterState.Open) && !(body["all"] is JsonValue all && all.TryGetValue(out bool isAll) && isAll))
        {
            throw Wrong("say which letters: ids, a filter (topic, reason, station, since, until), or \"all\": true");
        }

        if (body["limit"] is { } most && !(most is JsonValue number && number.TryGetValue(out limit) && limit is >= 1 and <= ListMost)) throw Wrong($"limit: must be a number from 1 to {ListMost}");
        // An order that has begun is carried out, whether or not somebody still waits for the answer.
        by = Caller.Of(request.HttpContext).Sign(by);
        DeadLetterForward? forward = ClusterRoutes.IsForNode(request) ? null : (owner, order) => ForwardAsync(peers, request.Path, owner, order);
        var receipt = await Desk(node).OrderAsync(new DeadLetterOrder(state, ids, filter, limit, by), forward, CancellationToken.None);
        return new JsonObject
        {
            ["state"] = Name(state),
            ["done"] = new JsonArray([.. receipt.Done.Select(id => (JsonNode)id.ToString())]),
            ["refused"] = new JsonArray([.. receipt.Refused.Select(refusal => (JsonNode)new JsonObject { ["letter"] = refusal.Letter, ["why"] = refusal.Why })]),
            ["more"] = receipt.More,
        };
    }

    private static async Task<DeadLetterReceipt?> ForwardAsync(NodePeers peers, string path, string owner, DeadLetterOrder order)
    {
        var ids = order.Ids!.Select(id => (JsonNode)id.ToString()).ToArray();
        var body = new JsonObject { ["ids"] = new JsonArray(ids), ["by"] = order.By };
        if (await peers.SendAsync(owner, HttpMethod.Post, path, body, ClusterRoutes.OrderLimit, CancellationToken.None) is not { } answer) return null;
        if (answer.Status != StatusCodes.Status200OK) return new DeadLetterReceipt([], [.. order.Ids!.Select(id => ($"{id}", $"{owner} answers: {answer.Body["error"]}"))], false);
        return new DeadLetterReceipt(
            [.. (answer.Body["done"] as JsonArray ?? []).Select(id => Id($"{id}", "done"))],
            [.. (answer.Body["refused"] as JsonArray ?? []).Select(refusal => ($"{refusal?["letter"]}", $"{refusal?["why"]}"))], false);
    }

    private static DeadLetterDesk Desk(NodeHost node) =>
        node.DeadLetters ?? throw new RequestRefusedException(StatusCodes.Status503ServiceUnavailable, "the node is starting");

    private static DeadLetterFilter Filter(Func<string, string?> given) => new(
        Named(given, "topic"), Named(given, "reason"), Named(given, "station"), Time(given, "since"), Time(given, "until"),
        given("state") switch
        {
            null or "open" => DeadLetterState.Open,
            "replayed" => DeadLetterState.Replayed,
            "discarded" => DeadLetterState.Discarded,
            "all" => null,
            var other => throw Wrong($"state: value \"{other}\": must be open, replayed, discarded or all"),
        });

    private static string? Named(Func<string, string?> given, string name)
    {
        if (given(name) is not { } text) return null;
        if (text.Length is 0 or > TextMost) throw Wrong($"{name}: must be 1 to {TextMost} characters");
        // Half a surrogate pair is no text of any letter; only a station's id may have control characters.
        var isText = Encoding.UTF8.GetString(Encoding.UTF8.GetBytes(text)) == text && (name == "station" || !text.Any(char.IsControl));
        return isText ? text : throw Wrong($"{name}: has characters that it cannot have");
    }

    /// <summary>A time with a zone (else UTC), or a span before now, as ms since 1970 UTC.</summary>
    private static long? Time(Func<string, string?> given, string name)
    {
        if (given(name) is not { } text) return null;
        if (DurationText.TryParse(text, out var spanMs)) return DateTimeOffset.UtcNow.ToUnixTimeMilliseconds() - spanMs;
        return DateTimeOffset.TryParse(text, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out var time)
            ? time.ToUnixTimeMilliseconds()
            : throw Wrong($"{name}: value \"{text}\": must be a time such as 2025-11-04T10:00:00+08:00 (without a zone: UTC), or a span before now such as 2h");
    }

    private static string? Text(JsonObject body, string name) => body[name] switch
    {
        null => null,
        JsonValue value when value.TryGetValue(out string? text) => text,
        _ => throw Wrong($"{name}: must be a text"),
    };

    private static DeadLetterId Id(string text, string name) =>
        DeadLetterId.TryParse(text, out var id) ? id : throw Wrong($"{name}: value \"{text}\": must be the id of a dead letter, such as 3-17");

    private static RequestRefusedException Wrong(string message) => new(StatusCodes.Status400BadRequest, message);

    private static string Name(DeadLetterState state) => state.ToString().ToLowerInvariant();

    private static JsonObject View(StoredDeadLetter stored)
    {
        var letter = stored.Letter;
        return new JsonObject
        {
            ["id"] = stored.Id.ToString(),
            ["state"] = Name(stored.State),
            ["topic"] = letter.Source.Topic,
            ["partition"] = letter.Source.Partition,
            ["incarnation"] = letter.Source.Incarnation,
            ["offset"] = letter.Offset,
            ["index"] = letter.Index,
            ["station"] = letter.Station.Length == 0 ? null : letter.Station,
            ["reason"] = letter.Reason.Code,
            ["detail"] = letter.Reason.Detail,
            ["holds"] = letter.Form.ToString().ToLowerInvariant(),
            ["length"] = letter.Length,
            ["timestamp"] = letter.TimeMs,
            ["replay_of"] = letter.ReplayOf?.ToString(),
            ["changed_by"] = stored.State == DeadLetterState.Open ? null : stored.ChangedBy,
            ["changed"] = stored.State == DeadLetterState.Open ? null : stored.ChangedMs,
        };
    }
}
