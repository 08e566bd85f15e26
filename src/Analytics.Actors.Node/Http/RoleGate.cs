using Analytics.Actors.Node.Hosting;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;

namespace Analytics.Actors.Node.Http;

/// <summary>
/// What a node without the role api leaves to others: it tells its health, and answers for itself alone where another node asks
/// (<c>scope=node</c>); nobody is answered for the whole cluster.
/// </summary>
internal static class RoleGate
{
    public static void Use(IApplicationBuilder application, NodeHost node)
    {
        if (node.Options.Roles.Api) return;
        application.Use(async (context, next) =>
        {
            var isForCluster = context.Request.Path.StartsWithSegments("/api", StringComparison.OrdinalIgnoreCase) && context.Request.Query["scope"] != "node";
            if (isForCluster) throw new RequestRefusedException(StatusCodes.Status404NotFound, $"{node.Options.NodeId} does not have the role api: ask {Others(node)}");
            await next(context).ConfigureAwait(false);
        });
    }

    private static string Others(NodeHost node)
    {
        var addresses = (node.Cluster?.Rows ?? []).Where(row => row.Entry.Roles.Contains("api") && !row.IsVanished && row.Entry.Address.Length > 0).Select(row => row.Entry.Address).ToList();
        return addresses.Count == 0 ? "a node that has it" : string.Join(" or ", addresses);
    }
}
