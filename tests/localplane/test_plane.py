from mcp_agentspawn.localplane import ControlPlane


async def test_an_administrator_reaches_the_api_server(control_plane: ControlPlane) -> None:
    async with control_plane.admin.session() as session, session.get("/version") as response:
        assert (await response.json())["gitVersion"] == "v1.36.3"
