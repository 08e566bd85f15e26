using System.Net;
using Analytics.Actors.Core.Pipeline;

namespace Analytics.Actors.Node.Configuration;

/// <summary>Where the node listens: loopback, unless somebody decides otherwise and says who may ask (<see cref="AccessOptions"/>).</summary>
/// <param name="Host">An address of this machine; 0.0.0.0 or :: for all of them.</param>
/// <param name="Port">0: any free port.</param>
public sealed record EndpointOptions(string Host, int Port)
{
    /// <summary>Leaves the section open: who may ask stands in it too.</summary>
    internal static EndpointOptions Read(ConfigurationObject section, int defaultPort)
    {
        var host = section.Find("host");
        var address = host?.Text("an address to listen on") ?? "127.0.0.1";
        if (host is not null && address != "localhost" && !IPAddress.TryParse(address, out _))
        {
            host.Refuse("must be an IP address of this machine (127.0.0.1, 0.0.0.0 for all, ::1, ::) or \"localhost\"");
        }

        var port = section.Find("port")?.Integer(0, 65_535) ?? defaultPort;
        return new EndpointOptions(address, (int)port);
    }

    internal IEnumerable<(string Path, string Value)> Describe(string section) =>
        [($"{section}.host", Host), ($"{section}.port", NodeOptions.Text(Port))];
}
