using System.Reflection;
using Analytics.Actors.Node.Http.Access;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;

namespace Analytics.Actors.Node.Http;

/// <summary>
/// The dashboard: one page of ours, its style and its script, from the executable itself. Nothing comes
/// from elsewhere, and nothing of the node is in it: its script reads the API, and asks for a token where that wants one.
/// </summary>
internal static class DashboardPage
{
    // Only our own files, only our own API, nobody's frame.
    private const string Policy = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

    public static void Map(IEndpointRouteBuilder routes)
    {
        Map(routes, "/", "index.html", "text/html; charset=utf-8");
        Map(routes, "/dashboard.css", "dashboard.css", "text/css; charset=utf-8");
        Map(routes, "/dashboard.js", "dashboard.js", "text/javascript; charset=utf-8");
    }

    private static void Map(IEndpointRouteBuilder routes, string path, string file, string contentType)
    {
        var bytes = Read(file);
        routes.MapGet(path, (HttpContext context) =>
        {
            context.Response.Headers.ContentSecurityPolicy = Policy;
            return Results.Bytes(bytes, contentType);
        }).NeedsNothing();
    }

    private static byte[] Read(string file)
    {
        using var resource = Assembly.GetExecutingAssembly().GetManifestResourceStream($"Dashboard/{file}")
            ?? throw new InvalidOperationException($"The dashboard's {file} is not in the executable.");
        using var bytes = new MemoryStream();
        resource.CopyTo(bytes);
        return bytes.ToArray();
    }
}
