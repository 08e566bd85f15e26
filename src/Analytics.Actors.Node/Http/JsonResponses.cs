using System.Globalization;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace Analytics.Actors.Node.Http;

/// <summary>A request that cannot be answered; the message says what would be right.</summary>
internal sealed class RequestRefusedException(int status, string message) : Exception(message)
{
    public int Status => status;
}

/// <summary>How answers are written: JSON, also those that say what went wrong, as <c>{"error": text}</c>.</summary>
internal static class JsonResponses
{
    private const string ContentType = "application/json; charset=utf-8";

    // Ids and payloads are people's words: they stay readable. The type says that this is no page.
    private static readonly JsonSerializerOptions Readable = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    public static IResult Json(JsonNode answer, int status = StatusCodes.Status200OK) =>
        Results.Text(answer.ToJsonString(Readable), ContentType, statusCode: status);

    public static IResult Error(int status, string message) => Json(new JsonObject { ["error"] = message }, status);

    /// <summary>The number of items that a request asks for.</summary>
    public static int Limit(HttpRequest request, int unlessGiven, int most)
    {
        if (!request.Query.TryGetValue("limit", out var given)) return unlessGiven;
        return int.TryParse(given.ToString(), NumberStyles.None, CultureInfo.InvariantCulture, out var limit) && limit >= 1 && limit <= most
            ? limit
            : throw new RequestRefusedException(StatusCodes.Status400BadRequest, $"limit: value \"{given}\": must be a number from 1 to {most}");
    }

    /// <summary>Whatever goes wrong, or is not there, is answered as JSON.</summary>
    public static void UseJsonErrors(WebApplication application)
    {
        var logger = application.Services.GetRequiredService<ILoggerFactory>().CreateLogger("Analytics.Actors.Http");
        application.Use(async (context, next) =>
        {
            context.Response.Headers.XContentTypeOptions = "nosniff";
            context.Response.Headers.CacheControl = "no-store";
            try
            {
                await next(context).ConfigureAwait(false);
            }
            catch (RequestRefusedException refused) when (!context.Response.HasStarted)
            {
                await Error(refused.Status, refused.Message).ExecuteAsync(context).ConfigureAwait(false);
                return;
            }
            catch (BadHttpRequestException wrong) when (!context.Response.HasStarted)
            {
                await Error(wrong.StatusCode, wrong.Message).ExecuteAsync(context).ConfigureAwait(false);
                return;
            }
            catch (OperationCanceledException) when (context.RequestAborted.IsCancellationRequested)
            {
                return;
            }
            catch (Exception failure) when (!context.Response.HasStarted)
            {
                logger.LogError(failure, "answering {Method} {Path} failed", context.Request.Method, context.Request.Path);
                await Error(StatusCodes.Status500InternalServerError, "the node failed to answer; its log says why").ExecuteAsync(context).ConfigureAwait(false);
                return;
            }

            if (context.Response.HasStarted || context.Response.ContentType is not null) return;
            if (context.Response.StatusCode == StatusCodes.Status404NotFound)
                await Error(StatusCodes.Status404NotFound, $"nothing is at {context.Request.Path}; /api/v1 lists what there is").ExecuteAsync(context).ConfigureAwait(false);
            else if (context.Response.StatusCode == StatusCodes.Status405MethodNotAllowed)
                await Error(StatusCodes.Status405MethodNotAllowed, $"{context.Request.Method} is not possible here; /api/v1 says what is").ExecuteAsync(context).ConfigureAwait(false);
        });
        // After the errors, so that routing happens inside of them.
        application.UseRouting();
    }
}
