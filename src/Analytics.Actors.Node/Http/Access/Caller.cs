using Analytics.Actors.Node.Configuration;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;

namespace Analytics.Actors.Node.Http.Access;

/// <summary>What an endpoint asks of whoever calls it; null: nothing. Every endpoint says so, or only those who may steer reach it.</summary>
internal sealed record NeededRight(Right? Right);

/// <summary>Who calls.</summary>
/// <param name="Name">For records: the token's or the certificate's name; empty: this machine, where nobody is asked.</param>
/// <param name="Right">Null: known, but without any right.</param>
/// <param name="IsPeer">A node of the cluster, which passes on what somebody asked of it.</param>
internal sealed record Caller(string Name, Right? Right, bool IsPeer)
{
    public static readonly Caller Anybody = new("", Configuration.Right.Steer, false);

    /// <summary>Who a request comes from; anybody, before the gate has seen it.</summary>
    public static Caller Of(HttpContext context) => context.Features.Get<Caller>() ?? Anybody;

    /// <summary>The name that somebody gives himself, with the one that was proven; a peer has done that already.</summary>
    public string Sign(string by) => Name.Length == 0 || IsPeer ? by : by.Length == 0 ? Name : $"{by} ({Name})";
}

/// <summary>How routes say what they need.</summary>
internal static class RightExtensions
{
    public static TBuilder Needs<TBuilder>(this TBuilder route, Right right) where TBuilder : IEndpointConventionBuilder => route.WithMetadata(new NeededRight(right));

    /// <summary>For everybody who reaches the port: it must tell nothing but a status, or what is in the repository anyhow.</summary>
    public static TBuilder NeedsNothing<TBuilder>(this TBuilder route) where TBuilder : IEndpointConventionBuilder => route.WithMetadata(new NeededRight((Right?)null));
}
